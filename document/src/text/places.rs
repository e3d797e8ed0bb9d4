//! From an actor's counters to the leaves that hold its characters.

/// Entries of one chunk; inserting into the middle moves at most so many.
const CHUNK: usize = 512;

#[derive(Copy, Clone, Debug)]
struct Entry {
    /// The leaf holds what there is from this counter up to the next entry's.
    start: u32,
    leaf: u32,
}

/// Sorted entries in chunks. Counters that are no characters (deletions, other containers) need no entries: the leaf
/// that an entry names is searched anyway and does not have them.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    chunks: Vec<Vec<Entry>>,
    /// The counter after the highest character's.
    end: u32,
}

impl Places {
    /// The chunk and index of the last entry that starts at or before `counter`.
    fn position(&self, counter: u32) -> Option<(usize, usize)> {
        let last = self.chunks.len().checked_sub(1)?;
        let chunk = if self.chunks[last].first().is_some_and(|entry| entry.start <= counter) {
            last
        } else {
            self.chunks
                .partition_point(|chunk| chunk.first().is_some_and(|entry| entry.start <= counter))
                .checked_sub(1)?
        };
        let index = self.chunks[chunk].partition_point(|entry| entry.start <= counter) - 1;
        Some((chunk, index))
    }

    /// The leaf that holds the character of a counter, if it is a character.
    #[inline]
    pub(super) fn leaf(&self, counter: u32) -> Option<u32> {
        if counter >= self.end {
            return None;
        }
        // Mostly what was typed last.
        if let Some(last) = self.chunks.last().and_then(|chunk| chunk.last())
            && last.start <= counter
        {
            return Some(last.leaf);
        }
        let (chunk, index) = self.position(counter)?;
        Some(self.chunks[chunk][index].leaf)
    }

    /// The start of the next entry after `counter`.
    pub(super) fn next_start(&self, counter: u32) -> Option<u32> {
        let Some((chunk, index)) = self.position(counter) else {
            return self.chunks.first().and_then(|chunk| chunk.first()).map(|entry| entry.start);
        };
        let next = self.chunks[chunk].get(index + 1).or_else(|| self.chunks.get(chunk + 1)?.first());
        next.map(|entry| entry.start)
    }

    /// The counter after the highest character's.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Says that a leaf holds the characters from `start` on.
    #[inline]
    pub(super) fn set(&mut self, start: u32, length: u32, leaf: u32) {
        let after = start + length;
        if start < self.end {
            return self.set_among(start, after, leaf);
        }
        // The usual case: an actor's counters only grow.
        self.end = after;
        if self.chunks.last().and_then(|chunk| chunk.last()).is_none_or(|entry| entry.leaf != leaf) {
            self.push(Entry { start, leaf });
        }
    }

    fn set_among(&mut self, start: u32, after: u32, leaf: u32) {
        // What follows stays where it was.
        if after < self.end
            && let Some((chunk, index)) = self.position(after)
        {
            let entry = self.chunks[chunk][index];
            if entry.start != after {
                self.insert(chunk, index + 1, Entry { start: after, leaf: entry.leaf });
            }
        }
        self.end = self.end.max(after);
        self.replace(start, after, leaf);
    }

    fn push(&mut self, entry: Entry) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(entry),
            _ => self.chunks.push(vec![entry]),
        }
    }

    fn insert(&mut self, chunk: usize, index: usize, entry: Entry) {
        self.chunks[chunk].insert(index, entry);
        if self.chunks[chunk].len() > CHUNK {
            let upper = self.chunks[chunk].split_off(CHUNK / 2);
            self.chunks.insert(chunk + 1, upper);
        }
    }

    fn remove(&mut self, chunk: usize, index: usize) {
        self.chunks[chunk].remove(index);
        if self.chunks[chunk].is_empty() {
            self.chunks.remove(chunk);
        }
    }

    /// Puts one entry in the place of all that start within `start..after`, and joins it with its neighbours.
    fn replace(&mut self, start: u32, after: u32, leaf: u32) {
        match self.position(start) {
            Some((chunk, index)) if self.chunks[chunk][index].start == start => self.chunks[chunk][index].leaf = leaf,
            Some((chunk, index)) if self.chunks[chunk][index].leaf != leaf => {
                self.insert(chunk, index + 1, Entry { start, leaf });
            }
            Some(_) => {}
            None => {
                if self.chunks.is_empty() {
                    self.chunks.push(Vec::new());
                }
                self.insert(0, 0, Entry { start, leaf });
            }
        }
        while let Some(next) = self.next_start(start) {
            let Some((chunk, index)) = self.position(next) else { break };
            if next < after || self.chunks[chunk][index].leaf == leaf {
                self.remove(chunk, index);
            } else {
                break;
            }
        }
        if let Some((chunk, index)) = start.checked_sub(1).and_then(|before| self.position(before))
            && self.chunks[chunk][index].leaf == leaf
            && let Some((chunk, index)) = self.position(start)
            && self.chunks[chunk][index].start == start
        {
            self.remove(chunk, index);
        }
    }
}
