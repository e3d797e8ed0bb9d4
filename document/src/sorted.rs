//! Sorting whose code is there once. The standard library's is compiled anew for each type and each order, about four
//! kilobytes each; here only the last step is, which puts items where they belong.

use std::cmp::Ordering;
use std::mem;

/// Sorts, least first; what is equal stays in its order.
pub(crate) fn sort_by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let mut order = order(items.len(), &mut |a, b| compare(&items[a as usize], &items[b as usize]));
    for start in 0..items.len() {
        // Round a circle of items each of which takes the next one's place.
        let mut at = start;
        loop {
            let from = mem::replace(&mut order[at], at as u32) as usize;
            if from == start {
                break;
            }
            items.swap(at, from);
            at = from;
        }
    }
}

/// Sorts by keys, the least first; what has equal ones stays in its order.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// The indices of items in their order. Nothing that is sorted here has more than fit into memory by the 2^32.
fn order(length: usize, compare: &mut dyn FnMut(u32, u32) -> Ordering) -> Vec<u32> {
    let mut order: Vec<u32> = (0..length as u32).collect();
    order.sort_by(|&a, &b| compare(a, b));
    order
}

#[cfg(test)]
mod tests {
    use super::{sort_by, sort_by_key};
    use crate::tests::random::{Random, for_seeds};

    #[test]
    fn it_sorts_as_the_standard_library_does() {
        for_seeds(200, |seed| {
            let mut random = Random(seed);
            let kinds = 1 + random.below(300);
            let items: Vec<(usize, String)> =
                (0..random.below(200)).map(|index| (random.below(kinds), index.to_string())).collect();
            let (mut ours, mut theirs) = (items.clone(), items);
            sort_by_key(&mut ours, |item| item.0);
            theirs.sort_by_key(|item| item.0);
            assert_eq!(ours, theirs);
            sort_by(&mut ours, |a, b| b.1.cmp(&a.1));
            theirs.sort_by(|a, b| b.1.cmp(&a.1));
            assert_eq!(ours, theirs);
        });
    }
}
