//! A map in the order of its keys whose code is small.
//!
//! `BTreeMap` is compiled anew for each pair of types, to about 10 KB each time; twenty of them were a third of the
//! WebAssembly that a page loads. [`OrderedMap`] takes about a tenth of that: sorted chunks in a vector, found by two
//! binary searches. Finding costs O(log n); inserting and removing move at most a chunk and the list of chunks, which for
//! a million entries is as much as a page of memory. Where the relay alone runs, `BTreeMap` is as good.

use std::borrow::Borrow;
use std::fmt::{self, Debug, Formatter};
use std::iter::Flatten;
use std::ops::{Bound, Index, RangeBounds};
use std::{mem, slice, vec};

/// Entries in one chunk at most.
const CHUNK: usize = 64;

/// A map in the order of its keys. Its methods are those of `BTreeMap`.
#[derive(Clone, Eq, PartialEq)]
pub struct OrderedMap<K, V> {
    /// None of them is empty.
    chunks: Vec<Vec<(K, V)>>,
    len: usize,
}

/// Where an entry is, or would be: its chunk, and its place there.
type Place = (usize, usize);

impl<K, V> OrderedMap<K, V> {
    /// An empty map; nothing is allocated.
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// All entries in order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { entries: self.chunks.iter().flatten(), left: self.len }
    }

    /// All entries in order, their values to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut(self.chunks.iter_mut().flatten())
    }

    /// All keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// All values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// All values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.chunks.iter_mut().flatten().map(|(_, value)| value)
    }

    /// The entry with the lowest key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// The entry with the highest key.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.iter().next_back()
    }

    /// Takes out the entry with the lowest key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (self.len > 0).then(|| self.take((0, 0)))
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let mut len = 0;
        self.chunks.retain_mut(|chunk| {
            chunk.retain_mut(|(key, value)| keep(key, value));
            len += chunk.len();
            !chunk.is_empty()
        });
        self.len = len;
    }

    /// Puts an entry at a free place.
    fn put(&mut self, (mut chunk, mut at): Place, entry: (K, V)) -> Place {
        self.len += 1;
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        let entries = &mut self.chunks[chunk];
        if entries.len() == CHUNK {
            // Keys that come in order fill one chunk after another; others leave two halves.
            let end = chunk + 1 == self.chunks.len() && at == CHUNK;
            let entries = &mut self.chunks[chunk];
            let upper = entries.split_off(if end { CHUNK } else { CHUNK / 2 });
            if at > entries.len() || end {
                at -= entries.len();
                chunk += 1;
                self.chunks.insert(chunk, upper);
            } else {
                self.chunks.insert(chunk + 1, upper);
            }
        }
        self.chunks[chunk].insert(at, entry);
        (chunk, at)
    }

    /// Takes out the entry at a place.
    fn take(&mut self, (chunk, at): Place) -> (K, V) {
        self.len -= 1;
        let entry = self.chunks[chunk].remove(at);
        let left = self.chunks[chunk].len();
        if left == 0 {
            self.chunks.remove(chunk);
        } else if self.chunks.get(chunk + 1).is_some_and(|next| next.len() + left <= CHUNK / 2) {
            let mut next = self.chunks.remove(chunk + 1);
            self.chunks[chunk].append(&mut next);
        }
        entry
    }
}

impl<K: Ord, V> OrderedMap<K, V> {
    /// Where `key` is, or else where it belongs.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        // Most maps have one chunk, and then there is nothing to choose.
        let chunk = match self.chunks.len() {
            1 => 0,
            _ => self.chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| last.borrow() < key)),
        };
        let Some(entries) = self.chunks.get(chunk) else {
            let last = chunk.saturating_sub(1);
            return Err((last, self.chunks.get(last).map_or(0, Vec::len)));
        };
        match entries.binary_search_by(|(other, _)| other.borrow().cmp(key)) {
            Ok(at) => Ok((chunk, at)),
            Err(at) => Err((chunk, at)),
        }
    }

    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|(chunk, at)| &self.chunks[chunk][at].1)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|(chunk, at)| &mut self.chunks[chunk][at].1)
    }

    /// Whether `key` is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Gives `key` a value, and the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok((chunk, at)) => Some(mem::replace(&mut self.chunks[chunk][at].1, value)),
            Err(place) => {
                self.put(place, (key, value));
                None
            }
        }
    }

    /// Takes `key` out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|place| self.take(place).1)
    }

    /// The place of `key`, to be filled if it is free.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { place: self.find(&key), key, map: self }
    }

    /// The places between which the keys of `range` are: of the first, and after the last.
    fn bounds<Q: Ord + ?Sized>(&self, range: &impl RangeBounds<Q>) -> (Place, Place)
    where
        K: Borrow<Q>,
    {
        let (Ok(start) | Err(start)) = match range.start_bound() {
            Bound::Unbounded => Ok((0, 0)),
            Bound::Included(key) => self.find(key),
            Bound::Excluded(key) => self.find(key).map(|(chunk, at)| (chunk, at + 1)),
        };
        let (Ok(end) | Err(end)) = match range.end_bound() {
            Bound::Unbounded => Ok((self.chunks.len(), 0)),
            Bound::Included(key) => self.find(key).map(|(chunk, at)| (chunk, at + 1)),
            Bound::Excluded(key) => self.find(key),
        };
        (start, end.max(start))
    }

    /// The entries whose keys lie in `range`, in order. One that ends before it starts has none.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> impl DoubleEndedIterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (start, end) = self.bounds(&range);
        let chunks = self.chunks.iter().enumerate().take(end.0 + 1).skip(start.0);
        chunks.flat_map(move |(chunk, entries)| {
            let from = if chunk == start.0 { start.1 } else { 0 };
            let to = if chunk == end.0 { end.1 } else { entries.len() };
            entries[from..to].iter().map(|(key, value)| (key, value))
        })
    }

    /// The entries whose keys lie in `range`, in order, their values to be changed.
    pub fn range_mut<Q: Ord + ?Sized>(
        &mut self,
        range: impl RangeBounds<Q>,
    ) -> impl DoubleEndedIterator<Item = (&K, &mut V)>
    where
        K: Borrow<Q>,
    {
        let (start, end) = self.bounds(&range);
        let chunks = self.chunks.iter_mut().enumerate().take(end.0 + 1).skip(start.0);
        chunks.flat_map(move |(chunk, entries)| {
            let from = if chunk == start.0 { start.1 } else { 0 };
            let to = if chunk == end.0 { end.1 } else { entries.len() };
            entries[from..to].iter_mut().map(|(key, value)| (&*key, value))
        })
    }
}

/// A key's place in a map.
#[derive(Debug)]
pub struct Entry<'a, K, V> {
    place: Result<Place, Place>,
    key: K,
    map: &'a mut OrderedMap<K, V>,
}

impl<'a, K: Ord, V> Entry<'a, K, V> {
    /// Changes the value, if there is one.
    #[must_use]
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        if let Ok((chunk, at)) = self.place {
            change(&mut self.map.chunks[chunk][at].1);
        }
        self
    }

    /// The value; `make` gives it if there is none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        let Self { place, key, map } = self;
        let (chunk, at) = place.unwrap_or_else(|free| map.put(free, (key, make())));
        &mut map.chunks[chunk][at].1
    }

    /// The value, `value` if there is none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value, the type's default if there is none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// # Panics
/// Without such a key.
impl<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for OrderedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is there")
    }
}

impl<K: Debug, V: Debug> Debug for OrderedMap<K, V> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self).finish()
    }
}

impl<K: Ord, V> Extend<(K, V)> for OrderedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for OrderedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for OrderedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

/// Entries in order.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    entries: Flatten<slice::Iter<'a, Vec<(K, V)>>>,
    left: usize,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.entries.next()?;
        self.left -= 1;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

// Not derived: that would ask it of the keys and values.
impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), left: self.left }
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (key, value) = self.entries.next_back()?;
        self.left -= 1;
        Some((key, value))
    }
}

/// Entries in order, their values to be changed.
#[derive(Debug)]
pub struct IterMut<'a, K, V>(Flatten<slice::IterMut<'a, Vec<(K, V)>>>);

impl<'a, K, V> Iterator for IterMut<'a, K, V> {
    type Item = (&'a K, &'a mut V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (&*key, value))
    }
}

impl<'a, K, V> IntoIterator for &'a OrderedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut OrderedMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<K, V> IntoIterator for OrderedMap<K, V> {
    type Item = (K, V);
    type IntoIter = Flatten<vec::IntoIter<Vec<(K, V)>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.chunks.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Whatever is done to both, the map is what a `BTreeMap` is.
    #[test]
    fn it_is_what_a_btree_map_is() {
        for (seed, keys) in [(1u64, 10u64), (2, 200), (3, 3_000), (4, u64::MAX)] {
            let mut state = seed;
            let mut next = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) % below
            };
            let (mut ours, mut model) = (OrderedMap::new(), BTreeMap::new());
            for step in 0..6_000u64 {
                let key = next(keys);
                match next(12) {
                    0..=4 => assert_eq!(ours.insert(key, step), model.insert(key, step)),
                    5 | 6 => assert_eq!(ours.remove(&key), model.remove(&key)),
                    7 => {
                        let value = *ours.entry(key).and_modify(|value| *value += 1).or_insert(step);
                        assert_eq!(value, *model.entry(key).and_modify(|value| *value += 1).or_insert(step));
                    }
                    8 => assert_eq!(ours.pop_first(), model.pop_first()),
                    9 => assert_eq!(
                        (ours.get(&key), ours.contains_key(&key)),
                        (model.get(&key), model.contains_key(&key))
                    ),
                    10 => {
                        let end = key.saturating_add(next(keys));
                        assert!(ours.range(key..end).eq(model.range(key..end)));
                        assert!(ours.range(key..=end).rev().eq(model.range(key..=end).rev()));
                        assert!(ours.range_mut(..key).eq(model.range_mut(..key)));
                        let after = (Bound::Excluded(key), Bound::Unbounded);
                        assert!(ours.range(after).eq(model.range(after)));
                    }
                    _ if step % 97 == 0 => {
                        ours.retain(|key, _| key % 3 > 0);
                        model.retain(|key, _| key % 3 > 0);
                    }
                    _ => assert_eq!(ours.last_key_value(), model.last_key_value()),
                }
                assert_eq!(ours.len(), model.len());
            }
            assert!(ours.iter().eq(&model) && ours.iter().rev().eq(model.iter().rev()));
            assert!(ours.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
            assert!(ours.into_iter().eq(model));
        }
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    fn keys_in_order_fill_chunks() {
        let map: OrderedMap<u32, ()> = (0..1_000).map(|key| (key, ())).collect();
        assert_eq!(map.chunks.len(), 1_000usize.div_ceil(CHUNK));
        assert!(map.range(1..=0).next().is_none(), "a range that ends before it starts is empty");
    }
}
