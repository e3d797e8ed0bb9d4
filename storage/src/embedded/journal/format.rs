//! The journal's bytes; `docs/src/protocol/storage-format.md` is the same, for readers.

use crate::embedded::row::Row;
use crate::fields::{Fields, checksum};

/// The format of journal and tables together; a store is refused by a version that has another.
pub(in crate::embedded) const FORMAT: u32 = 1;

/// Groups begin at multiples of this, so that a sector with acknowledged bytes is never written again.
pub(super) const SECTOR: u64 = 512;

/// The blocks at a file's head: the header, then the two marks. Each has a block of its own, so that a write of one
/// that is torn by a power cut leaves the others whole.
const BLOCK: u64 = 4096;

/// Where the first group begins.
pub(super) const GROUPS_AT: u64 = 3 * BLOCK;

const FILE_MAGIC: &[u8; 8] = b"INKJRNL\n";
const MARK_MAGIC: &[u8; 8] = b"INKMARK\n";
const GROUP_MAGIC: &[u8; 4] = b"INKG";

/// Bytes of a group's head.
pub(super) const GROUP_HEAD: usize = 64;

/// The name of the file with `number`.
pub(in crate::embedded) fn name(number: u64) -> String {
    format!("journal-{number:016x}")
}

/// The number in a file's name, or `None` when it is not a journal's.
pub(in crate::embedded) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("journal-")?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (self::name(number) == name).then_some(number)
}

/// Header and marks of a new file. `identity` is random: a client's bytes in a row can not pass for a group's head.
pub(super) fn file_head(number: u64, identity: u64) -> Vec<u8> {
    let mut head = Vec::with_capacity(GROUPS_AT as usize);
    head.extend_from_slice(FILE_MAGIC);
    head.extend_from_slice(&FORMAT.to_le_bytes());
    head.extend_from_slice(&number.to_le_bytes());
    head.extend_from_slice(&identity.to_le_bytes());
    let sum = checksum(&[&head]);
    head.extend_from_slice(&sum.to_le_bytes());
    let empty = Mark { identity, groups: 0, end: GROUPS_AT, sealed: false };
    for block in 1..=2 {
        head.resize((block * BLOCK) as usize, 0);
        head.extend_from_slice(&empty.to_bytes());
    }
    head.resize(GROUPS_AT as usize, 0);
    head
}

/// What a file's header says.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Header {
    /// It is the header of the file with this number and identity.
    Valid {
        /// The file's number.
        number: u64,
        /// The random number that its groups and marks carry.
        identity: u64,
    },
    /// It is one of another format.
    Format(u32),
    /// It is not a header.
    Invalid,
}

/// Reads the header in a file's first block.
pub(super) fn read_header(block: &[u8]) -> Header {
    let mut fields = Fields(block);
    let read = |fields: &mut Fields<'_>| {
        let magic = fields.take(8)?;
        let format = fields.u32()?;
        let number = fields.u64()?;
        let identity = fields.u64()?;
        let valid = magic == FILE_MAGIC && fields.u64()? == checksum(&[&block[..28]]);
        valid.then_some((format, number, identity))
    };
    match read(&mut fields) {
        Some((FORMAT, number, identity)) => Header::Valid { number, identity },
        Some((format, ..)) => Header::Format(format),
        None => Header::Invalid,
    }
}

/// How far a file is acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    /// The file's identity.
    pub(super) identity: u64,
    /// How many groups are acknowledged.
    pub(super) groups: u64,
    /// Where the last of them ends.
    pub(super) end: u64,
    /// Whether the file is complete and the next one exists.
    pub(super) sealed: bool,
}

impl Mark {
    const LEN: usize = 8 + 8 + 8 + 8 + 4 + 8;

    /// Where it is written: marks take turns, so that the one before stays whole.
    pub(super) fn offset(&self) -> u64 {
        (1 + self.groups % 2) * BLOCK
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.extend_from_slice(MARK_MAGIC);
        for field in [self.identity, self.groups, self.end] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&u32::from(self.sealed).to_le_bytes());
        let sum = checksum(&[&bytes]);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn read(block: &[u8]) -> Option<Self> {
        let mut fields = Fields(block);
        let magic = fields.take(8)?;
        let mark =
            Self { identity: fields.u64()?, groups: fields.u64()?, end: fields.u64()?, sealed: fields.u32()? != 0 };
        let sum = fields.u64()?;
        (magic == MARK_MAGIC && sum == checksum(&[&block[..Self::LEN - 8]])).then_some(mark)
    }

    /// The newer of the whole marks in a file's `head`, or `None` when neither is whole.
    pub(super) fn newest(head: &[u8], identity: u64) -> Option<Self> {
        let blocks = head.chunks(BLOCK as usize).skip(1).take(2);
        let marks = blocks.filter_map(Self::read).filter(|mark| mark.identity == identity);
        marks.max_by_key(|mark| (mark.groups, mark.sealed))
    }
}

/// A group's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupHead {
    pub(super) group: u64,
    pub(super) first_arrival: u64,
    pub(super) rows: u32,
    pub(super) body_len: u32,
    body_hash: [u8; 16],
}

impl GroupHead {
    /// Reads the head of a group of the file with `identity`, or `None` when `bytes` are not one.
    pub(super) fn read(bytes: &[u8], identity: u64) -> Option<Self> {
        let mut fields = Fields(bytes);
        let magic = fields.take(4)?;
        let of_file = fields.u64()?;
        let head = Self {
            group: fields.u64()?,
            first_arrival: fields.u64()?,
            rows: fields.u32()?,
            body_len: fields.u32()?,
            body_hash: fields.take(16)?.try_into().ok()?,
        };
        let sum = fields.u64()?;
        let valid = magic == GROUP_MAGIC && of_file == identity && sum == checksum(&[&bytes[..GROUP_HEAD - 12]]);
        valid.then_some(head)
    }

    pub(super) fn body_is(&self, body: &[u8]) -> bool {
        blake3::hash(body).as_bytes()[..16] == self.body_hash
    }

    /// Bytes from the group's beginning to where the next one may begin.
    pub(super) fn padded_len(&self) -> u64 {
        (GROUP_HEAD as u64 + u64::from(self.body_len)).next_multiple_of(SECTOR)
    }
}

/// Encodes a group into `out`, padded to whole sectors.
pub(super) fn put_group(out: &mut Vec<u8>, identity: u64, group: u64, first_arrival: u64, rows: &[&Row]) {
    out.clear();
    out.resize(GROUP_HEAD, 0);
    for row in rows {
        row.put(out);
    }
    let body_len = (out.len() - GROUP_HEAD) as u32;
    let hash = blake3::hash(&out[GROUP_HEAD..]);
    let mut head = Vec::with_capacity(GROUP_HEAD);
    head.extend_from_slice(GROUP_MAGIC);
    for field in [identity, group, first_arrival] {
        head.extend_from_slice(&field.to_le_bytes());
    }
    head.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    head.extend_from_slice(&body_len.to_le_bytes());
    head.extend_from_slice(&hash.as_bytes()[..16]);
    let sum = checksum(&[&head]);
    head.extend_from_slice(&sum.to_le_bytes());
    out[..head.len()].copy_from_slice(&head);
    out.resize((out.len() as u64).next_multiple_of(SECTOR) as usize, 0);
}

#[cfg(test)]
mod tests {
    use inkwire_document::{Actor, Batch};
    use inkwire_protocol::record::LogRecord;

    use super::*;
    use crate::store::{Append, DocumentKey};

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_head_is_pinned() {
        let head = file_head(7, 0x1122_3344_5566_7788);
        assert_eq!(head.len(), 12_288);
        assert_eq!(
            hexadecimal(&head[..36]),
            "494e4b4a524e4c0a010000000700000000000000887766554433221134db97eef75e37b6"
        );
        let mark = "494e4b4d41524b0a88776655443322110000000000000000003000000000000000000000fe7fec6718687dc2";
        assert_eq!(hexadecimal(&head[4096..4140]), mark);
        assert_eq!(hexadecimal(&head[8192..8236]), mark);
        let used = [0..36, 4096..4140, 8192..8236];
        assert!((0..head.len()).all(|at| head[at] == 0 || used.iter().any(|range| range.contains(&at))));
    }

    #[test]
    fn a_group_is_pinned() {
        let batch = Batch { actor: Actor(3), first: 5, count: 2, operations: b"operations".as_slice().into() };
        let record = LogRecord::new(batch, "anna".into(), 1_700_000_000_000);
        let rows = Row::encode_all(vec![Append { document: DocumentKey::new("a/b", 9), record }]).unwrap();
        let mut group = Vec::new();
        put_group(&mut group, 0x1122_3344_5566_7788, 4, 1000, &[&rows[0]]);
        assert_eq!(group.len(), 512);
        let body = "5900000009000000000000000300612f6203000000000000000500000000000000";
        assert_eq!(hexadecimal(&group[64..97]), body);
        assert_eq!(hexadecimal(&group[129..157]), "0068e5cf8b010000020000000400616e6e616f7065726174696f6e73");
        let head = concat!(
            "494e4b4788776655443322110400000000000000e803000000000000010000005d000000",
            "518ffc9009f55d012684d540b6ed3d6144316c29d226553100000000"
        );
        assert_eq!(hexadecimal(&group[..64]), head);
    }
}
