//! What a bug of ours said. A panic ends in a trap, which JavaScript sees as an error without words.

use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the words of panics from now on.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(keep)));
}

fn keep(info: &PanicHookInfo<'_>) {
    let words = info.to_string();
    LAST.with(|last| {
        // The panic may have come while it was borrowed; a second one would hide the first.
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Some(words);
        }
    });
}

/// The last panic's words.
pub(crate) fn last() -> Option<String> {
    LAST.with(|last| last.try_borrow().ok().and_then(|last| last.clone()))
}
