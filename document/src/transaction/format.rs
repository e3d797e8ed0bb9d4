//! Formatting in a transaction.

use super::{Edit, Encoder, Transaction};
use crate::batch::operation::kind;
use crate::formatting::Side;
use crate::ids::HybridTime;
use crate::messagepack::Writer;
use crate::text::marks::Slot;
use crate::text::span::Id;
use crate::value::Value;

/// What is said of a range or of lines.
#[derive(Clone, Debug)]
pub(crate) struct FormatEdit {
    pub(crate) place: FormatPlace,
    pub(crate) key: Box<str>,
    /// [`Value::Null`] takes it away.
    pub(crate) value: Value,
    pub(crate) time: HybridTime,
}

/// Of what.
#[derive(Clone, Debug)]
pub(crate) enum FormatPlace {
    Range(Slot, Slot),
    /// The characters that end the lines; none for the text's end.
    Lines(Vec<Id>),
}

impl Transaction {
    pub(crate) fn format(&mut self, name: &str, counter: u32, edit: FormatEdit) {
        let root = self.root(name);
        self.edits += 1;
        self.push(root, counter, Edit::Format(Box::new(edit)));
    }
}

impl Encoder<'_> {
    pub(super) fn format(&mut self, root: usize, name: &str, counter: u32, edit: &FormatEdit) {
        let FormatEdit { place, key, value, time } = edit;
        let ids: Vec<Id> = match place {
            FormatPlace::Range(start, end) => vec![start.id, end.id],
            FormatPlace::Lines(lines) => lines.clone(),
        };
        let bytes = value.encoded_len_bound() + key.len() + 32 + ids.len() * 25;
        self.begin(root, name, counter, 1, bytes, ids.len());
        ids.iter().for_each(|&id| self.name_actor(id));
        let is_after = |slot: &Slot| u64::from(slot.side == Side::After && !slot.id.is_none());
        let mut out = Writer(&mut self.out);
        match place {
            FormatPlace::Range(start, end) => {
                out.array(8);
                out.uint(kind::MARK);
                out.uint(1);
                out.uint(is_after(start) | is_after(end) << 1);
                self.reference(start.id, counter);
                self.reference(end.id, counter);
                self.attribute(key, value, *time);
            }
            FormatPlace::Lines(lines) => {
                out.array(5 + lines.len());
                out.uint(kind::BLOCK);
                out.uint(1);
                self.attribute(key, value, *time);
                lines.iter().for_each(|&line| self.reference(line, counter));
            }
        }
    }

    fn attribute(&mut self, key: &str, value: &Value, time: HybridTime) {
        let mut out = Writer(&mut self.out);
        out.str(key);
        value.write(&mut out);
        out.uint(time.0);
    }
}
