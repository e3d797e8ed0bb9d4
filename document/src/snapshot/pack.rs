//! Packed parts: repetitions as references back, and what remains in Huffman codes.
//!
//! A codec of our own, because what it replaces would be most of what a page loads and twice as slow to read: it unpacks
//! a snapshot of 100 KB in a fifth of a millisecond, in two hundred lines.

use super::SnapshotError;
use super::decode::Input;
use super::huffman;
use crate::batch::encode::write_number;

/// Shorter parts are not worth their tables.
const SHORTEST: usize = 192;
/// Bytes that a reference back repeats, at least.
const MIN_MATCH: usize = 4;
/// With one so long, no better one is looked for.
const LONG_MATCH: usize = 96;
/// How far back one reaches, at most.
const WINDOW: usize = 0xffff;
/// Candidates that are looked at for each repetition.
const DEPTH: usize = 24;
const MAX_HASH_BITS: u32 = 14;
/// How many bytes may come of one: what a few bytes cost a reader stays bounded.
const MAX_RATIO: usize = 256;

const MALFORMED: SnapshotError = SnapshotError::Malformed("a packed part does not unpack");

/// A part in five streams: literals, how many of them come before each reference, the references' lengths, and their
/// distances' lower and upper bytes.
#[derive(Default)]
struct Streams {
    literals: Vec<u8>,
    runs: Vec<u8>,
    lengths: Vec<u8>,
    low: Vec<u8>,
    high: Vec<u8>,
}

impl Streams {
    fn encode(&self, length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        write_number(length as u64, &mut out);
        for stream in [&self.literals, &self.runs, &self.lengths, &self.low, &self.high] {
            huffman::encode(stream, &mut out);
        }
        out
    }
}

/// A length in bytes of at most 255, of which only the last is less.
fn write_chain(mut length: usize, out: &mut Vec<u8>) {
    while length >= 255 {
        out.push(255);
        length -= 255;
    }
    out.push(length as u8);
}

fn read_chain(bytes: &mut std::slice::Iter<'_, u8>) -> Option<usize> {
    let mut length = 0usize;
    loop {
        let byte = *bytes.next()?;
        length += usize::from(byte);
        if byte < 255 {
            return Some(length);
        }
    }
}

/// The packed form, if it is shorter.
pub(super) fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < SHORTEST {
        return None;
    }
    let streams = refer(bytes);
    // References pay for themselves where they leave few literals.
    let mut best = streams.encode(bytes.len());
    if bytes.len() / best.len() >= MAX_RATIO || streams.literals.len() > bytes.len() / 8 * 7 {
        let plain = Streams { literals: bytes.to_vec(), ..Streams::default() }.encode(bytes.len());
        if bytes.len() / best.len() >= MAX_RATIO || plain.len() < best.len() {
            best = plain;
        }
    }
    (best.len() < bytes.len()).then_some(best)
}

fn hash(bytes: &[u8], bits: u32) -> usize {
    let word = bytes.first_chunk::<4>().map_or(0, |word| u32::from_le_bytes(*word));
    (word.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

/// What a reference saves, in quarters of a bit or so: literals cost about 18, its parts what their sizes say.
fn gain(length: usize, distance: usize) -> i64 {
    18 * length as i64 - 36 - 4 * i64::from(usize::BITS - distance.leading_zeros())
}

fn refer(bytes: &[u8]) -> Streams {
    let mut streams = Streams::default();
    let bits = MAX_HASH_BITS.min(usize::BITS - bytes.len().leading_zeros());
    let mut heads = vec![u32::MAX; 1 << bits];
    let mut before = vec![u32::MAX; bytes.len()];
    let (mut at, mut literal) = (0, 0);
    let last = bytes.len().saturating_sub(MIN_MATCH);
    while at < last {
        let (length, distance) = longest(bytes, at, heads[hash(&bytes[at..], bits)], &before);
        let taken = if gain(length, distance) > 0 && length >= MIN_MATCH { length } else { 1 };
        if taken > 1 {
            streams.literals.extend_from_slice(&bytes[literal..at]);
            write_chain(at - literal, &mut streams.runs);
            write_chain(length - MIN_MATCH, &mut streams.lengths);
            streams.low.push(distance as u8);
            streams.high.push((distance >> 8) as u8);
            literal = at + length;
        }
        for next in at..(at + taken).min(last) {
            let slot = &mut heads[hash(&bytes[next..], bits)];
            before[next] = std::mem::replace(slot, next as u32);
        }
        at += taken;
    }
    streams.literals.extend_from_slice(&bytes[literal..]);
    streams
}

/// The best repetition of what begins at `at`: its length and how far back it is.
fn longest(bytes: &[u8], at: usize, head: u32, before: &[u32]) -> (usize, usize) {
    let (mut best, mut candidate) = ((0, 1), head);
    for _ in 0..DEPTH {
        if candidate == u32::MAX || at - candidate as usize > WINDOW {
            break;
        }
        let from = candidate as usize;
        // Only what may be longer than the best one is compared.
        let may_be = best.0 == 0 || bytes.get(at + best.0).is_some_and(|next| *next == bytes[from + best.0]);
        let length = if may_be { common(&bytes[at..], &bytes[from..]) } else { 0 };
        if gain(length, at - from) > gain(best.0, best.1) {
            best = (length, at - from);
        }
        // Good enough: what repeats itself for long would be compared over and over.
        if length >= LONG_MATCH {
            break;
        }
        candidate = before[from];
    }
    best
}

/// How many bytes a packed part says that it unpacks to.
pub(super) fn unpacked_len(packed: &[u8]) -> Result<usize, SnapshotError> {
    let length = usize::try_from(Input(packed).number()?).map_err(|_| MALFORMED)?;
    if length / packed.len().max(1) >= MAX_RATIO { Err(MALFORMED) } else { Ok(length) }
}

/// How many bytes two slices begin with in common.
fn common(a: &[u8], b: &[u8]) -> usize {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let mut words = a_words.iter().zip(b_words).take_while(|(a, b)| a == b).count();
    words *= 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

/// The bytes that were packed. Grows only as they come out.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, SnapshotError> {
    let mut input = Input(packed);
    let length = unpacked_len(packed)?;
    input.number()?;
    let literals = huffman::decode(&mut input)?;
    let runs = huffman::decode(&mut input)?;
    let lengths = huffman::decode(&mut input)?;
    let (low, high) = (huffman::decode(&mut input)?, huffman::decode(&mut input)?);
    if !input.0.is_empty() || low.len() != high.len() {
        return Err(MALFORMED);
    }
    if runs.is_empty() && lengths.is_empty() && low.is_empty() {
        return if literals.len() == length { Ok(literals) } else { Err(MALFORMED) };
    }
    let mut out = Unpacked { bytes: vec![0; (length + WORD).min(packed.len().saturating_mul(8))], len: 0, length };
    let (mut runs, mut lengths, mut literals) = (runs.iter(), lengths.iter(), &literals[..]);
    for (low, high) in low.into_iter().zip(high) {
        let run = read_chain(&mut runs).ok_or(MALFORMED)?;
        literals = out.literals(literals, run).ok_or(MALFORMED)?;
        let repeated = read_chain(&mut lengths).ok_or(MALFORMED)? + MIN_MATCH;
        let distance = usize::from(low) | usize::from(high) << 8;
        out.repeat(distance, repeated).ok_or(MALFORMED)?;
    }
    out.literals(literals, literals.len()).ok_or(MALFORMED)?;
    let is_all = out.len == length && runs.next().is_none() && lengths.next().is_none();
    out.bytes.truncate(length);
    if is_all { Ok(out.bytes) } else { Err(MALFORMED) }
}

/// Bytes that are copied at once, where so few are to be copied and what lies behind them does not matter yet.
const WORD: usize = 16;

/// What came out so far: the first `len` bytes of a buffer that has room for some more.
struct Unpacked {
    bytes: Vec<u8>,
    len: usize,
    /// What it comes to in the end.
    length: usize,
}

impl Unpacked {
    /// Makes room for so many bytes, and a word behind them.
    #[inline]
    fn room(&mut self, count: usize) -> Option<()> {
        let end = self.len.checked_add(count).filter(|&end| end <= self.length)?;
        if end + WORD > self.bytes.len() {
            self.bytes.resize((end * 2).min(self.length) + WORD, 0);
        }
        Some(())
    }

    /// Takes so many bytes off the front of `from`; says what remains there.
    #[inline]
    fn literals<'a>(&mut self, from: &'a [u8], count: usize) -> Option<&'a [u8]> {
        self.room(count)?;
        match from.first_chunk::<WORD>() {
            Some(word) if count <= WORD => self.bytes[self.len..self.len + WORD].copy_from_slice(word),
            _ => self.bytes[self.len..self.len + count].copy_from_slice(from.get(..count)?),
        }
        self.len += count;
        Some(&from[count..])
    }

    /// Repeats so many bytes of those that came out so far ago.
    #[inline]
    fn repeat(&mut self, distance: usize, count: usize) -> Option<()> {
        self.room(count)?;
        let from = self.len.checked_sub(distance).filter(|_| distance > 0)?;
        if distance >= WORD && count <= WORD {
            self.bytes.copy_within(from..from + WORD, self.len);
        } else if distance >= count {
            self.bytes.copy_within(from..from + count, self.len);
        } else {
            (0..count).for_each(|index| self.bytes[self.len + index] = self.bytes[from + index]);
        }
        self.len += count;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};
    use crate::tests::random::{Random, for_seeds};

    #[test]
    fn what_was_packed_unpacks() {
        for_seeds(300, |seed| {
            let mut random = Random(seed);
            let spread = 1 + random.below(256);
            let mut bytes: Vec<u8> = (0..random.below(4000)).map(|_| random.below(spread) as u8).collect();
            for _ in 0..random.below(20) {
                let from = random.below(bytes.len());
                let end = (from + random.below(400)).min(bytes.len());
                bytes.extend_from_within(from..end);
            }
            if let Some(packed) = pack(&bytes) {
                assert!(packed.len() < bytes.len());
                assert_eq!(unpack(&packed).as_ref(), Ok(&bytes));
                for _ in 0..20 {
                    let mut damaged = packed.clone();
                    let at = random.below(damaged.len());
                    damaged[at] ^= 1 << random.below(8);
                    damaged.truncate(damaged.len() - random.below(3));
                    // Anything but a panic or more than it says.
                    let _ = unpack(&damaged);
                }
            }
        });
    }

    /// Bytes that another version may have written.
    #[test]
    fn golden() {
        let bytes = b"she sells sea shells on the sea shore; ".repeat(6);
        let packed = pack(&bytes).unwrap();
        let hex: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        assert_eq!(unpack(&packed), Ok(bytes));
    }

    const GOLDEN: &str =
        "ea01307368652073656c6c73207365612073686f6e20746f72653b0a10040004000a01010000bc0a0b181219270a0000000000";

    #[test]
    fn repetition_packs_well() {
        let bytes = b"all work and no play makes a dull boy. ".repeat(100);
        assert!(pack(&bytes).is_some_and(|packed| packed.len() < 200));
    }
}
