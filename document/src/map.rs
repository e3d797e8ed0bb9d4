//! A map: per key the last writer wins.

use crdts::{CmRDT, LWWReg};

use crate::ids::{Actor, HybridTime};
use crate::ordered::OrderedMap;
use crate::value::Value;

/// What orders the writes of a key. Unique: no two operations have one dot.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug, Default)]
pub(crate) struct Marker {
    pub(crate) time: HybridTime,
    pub(crate) actor: Actor,
    pub(crate) counter: u32,
}

/// A key's last write; without a value it was removed.
pub(crate) type Register = LWWReg<Option<Value>, Marker>;

/// A map's whole state: every key that was ever written, removed ones too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    registers: OrderedMap<Box<str>, Register>,
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.registers.get(key)?.val.as_ref()
    }

    /// What a key was last written or removed by.
    pub(crate) fn marker(&self, key: &str) -> Option<Marker> {
        self.registers.get(key).map(|register| register.marker)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.registers.iter().filter_map(|(key, register)| Some((&**key, register.val.as_ref()?)))
    }

    pub(crate) fn registers(&self) -> impl ExactSizeIterator<Item = (&str, &Register)> {
        self.registers.iter().map(|(key, register)| (&**key, register))
    }

    /// Applies a write; says whether what the key holds may have changed.
    pub(crate) fn apply(&mut self, key: &str, write: Register) -> bool {
        match self.registers.get_mut(key) {
            Some(register) => {
                let is_later = register.marker < write.marker;
                register.apply(write);
                is_later
            }
            None => {
                self.registers.insert(key.into(), write);
                true
            }
        }
    }
}
