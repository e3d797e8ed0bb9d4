//! As much MessagePack as operations, snapshots and frames need: tokens read in place, nothing allocated.
//!
//! One reader and one writer that no type is compiled into anew: what a page loads holds them once.

/// Nesting that [`Reader::skip`] follows.
const MAX_DEPTH: u32 = 32;

/// Why bytes are not the MessagePack that was expected.
#[derive(Copy, Clone, Eq, PartialEq, Debug, thiserror::Error)]
pub enum Malformed {
    /// The bytes end within a value.
    #[error("the bytes end within a value")]
    Truncated,
    /// Not a value of the type that belongs here.
    #[error("a value of another type was expected")]
    Type,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// Nested deeper than 32.
    #[error("values are nested deeper than {MAX_DEPTH}")]
    Depth,
    /// A map's keys that are not in ascending order of their bytes, or one that is there twice.
    #[error("the keys of a map are not in order")]
    Order,
}

/// One value, or the head of one that has others within.
#[derive(Copy, Clone, PartialEq, Debug)]
pub enum Token<'a> {
    /// Nil.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer of any form that is 0 or more.
    Uint(u64),
    /// An integer below 0.
    Negative(i64),
    /// A float of either width.
    Float(f64),
    /// A string.
    Str(&'a str),
    /// Binary.
    Bin(&'a [u8]),
    /// The head of an array: so many values follow.
    Array(u32),
    /// The head of a map: so many keys follow, each with its value.
    Map(u32),
    /// An extension, passed over.
    Extension,
}

/// Reads values one after another.
#[derive(Copy, Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// What was read since a position.
    pub fn since(&self, position: usize) -> &'a [u8] {
        &self.bytes[position..self.at]
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.at).ok_or(Malformed::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, length: usize) -> Result<u64, Malformed> {
        Ok(self.take(length)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn str_of(&mut self, length: usize) -> Result<Token<'a>, Malformed> {
        std::str::from_utf8(self.take(length)?).map(Token::Str).map_err(|_| Malformed::Utf8)
    }

    fn signed(number: i64) -> Token<'a> {
        u64::try_from(number).map_or(Token::Negative(number), Token::Uint)
    }

    /// The next value, or the head of one that has others within.
    ///
    /// # Errors
    /// See [`Malformed`]; where the reader stands is unspecified then.
    pub fn token(&mut self) -> Result<Token<'a>, Malformed> {
        let head = self.byte()?;
        Ok(match head {
            0x00..=0x7f => Token::Uint(u64::from(head)),
            0x80..=0x8f => Token::Map(u32::from(head & 15)),
            0x90..=0x9f => Token::Array(u32::from(head & 15)),
            0xa0..=0xbf => self.str_of(usize::from(head & 31))?,
            0xc0 => Token::Nil,
            0xc1 => return Err(Malformed::Type),
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let length = self.number(1 << (head - 0xc4))? as usize;
                Token::Bin(self.take(length)?)
            }
            0xc7..=0xc9 => {
                let length = self.number(1 << (head - 0xc7))? as usize;
                self.take(1)?;
                self.take(length)?;
                Token::Extension
            }
            0xca => Token::Float(f64::from(f32::from_bits(self.number(4)? as u32))),
            0xcb => Token::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => Token::Uint(self.number(1 << (head - 0xcc))?),
            0xd0 => Self::signed(i64::from(self.number(1)? as i8)),
            0xd1 => Self::signed(i64::from(self.number(2)? as i16)),
            0xd2 => Self::signed(i64::from(self.number(4)? as i32)),
            0xd3 => Self::signed(self.number(8)? as i64),
            0xd4..=0xd8 => {
                self.take(1 + (1 << (head - 0xd4)))?;
                Token::Extension
            }
            0xd9..=0xdb => {
                let length = self.number(1 << (head - 0xd9))? as usize;
                self.str_of(length)?
            }
            0xdc | 0xdd => Token::Array(self.number(2 << (head - 0xdc))? as u32),
            0xde | 0xdf => Token::Map(self.number(2 << (head - 0xde))? as u32),
            0xe0..=0xff => Token::Negative(i64::from(head as i8)),
        })
    }

    /// The next value, an integer of 0 or more.
    ///
    /// # Errors
    /// [`Malformed::Type`] for another one.
    pub fn uint(&mut self) -> Result<u64, Malformed> {
        match self.token()? {
            Token::Uint(number) => Ok(number),
            _ => Err(Malformed::Type),
        }
    }

    /// The next value, a string.
    ///
    /// # Errors
    /// [`Malformed::Type`] for another one.
    pub fn str(&mut self) -> Result<&'a str, Malformed> {
        match self.token()? {
            Token::Str(text) => Ok(text),
            _ => Err(Malformed::Type),
        }
    }

    /// Passes over one value, whatever it holds; time in proportion to its bytes.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn skip(&mut self) -> Result<(), Malformed> {
        // What remains to be read on each level; a bomb of nested arrays costs this array and no more.
        let mut open = [0u64; MAX_DEPTH as usize + 1];
        let mut depth = 0;
        open[0] = 1;
        loop {
            while open[depth] == 0 {
                if depth == 0 {
                    return Ok(());
                }
                depth -= 1;
            }
            open[depth] -= 1;
            let within = match self.token()? {
                Token::Array(count) => u64::from(count),
                Token::Map(count) => u64::from(count) * 2,
                _ => continue,
            };
            if depth == MAX_DEPTH as usize {
                return Err(Malformed::Depth);
            }
            depth += 1;
            open[depth] = within;
        }
    }
}

/// Writes values in their shortest form to the end of what it holds.
#[derive(Debug)]
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    fn head(&mut self, head: u8, number: u64, bytes: usize) {
        self.0.push(head);
        self.0.extend_from_slice(&number.to_be_bytes()[8 - bytes..]);
    }

    /// Nil.
    pub fn nil(&mut self) {
        self.0.push(0xc0);
    }

    /// A boolean.
    pub fn bool(&mut self, flag: bool) {
        self.0.push(0xc2 + u8::from(flag));
    }

    /// An integer of 0 or more.
    pub fn uint(&mut self, number: u64) {
        match number {
            0..=0x7f => self.0.push(number as u8),
            0x80..=0xff => self.head(0xcc, number, 1),
            0x100..=0xffff => self.head(0xcd, number, 2),
            0x1_0000..=0xffff_ffff => self.head(0xce, number, 4),
            _ => self.head(0xcf, number, 8),
        }
    }

    /// An integer.
    pub fn int(&mut self, number: i64) {
        match number {
            0.. => self.uint(number as u64),
            -32..=-1 => self.0.push(number as u8),
            -128..=-33 => self.head(0xd0, number as u64, 1),
            -0x8000..=-129 => self.head(0xd1, number as u64, 2),
            -0x8000_0000..=-0x8001 => self.head(0xd2, number as u64, 4),
            _ => self.head(0xd3, number as u64, 8),
        }
    }

    /// A float, in eight bytes.
    pub fn float(&mut self, number: f64) {
        self.head(0xcb, number.to_bits(), 8);
    }

    /// A string.
    pub fn str(&mut self, text: &str) {
        self.str_head(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// What comes before so many bytes of a string.
    pub fn str_head(&mut self, length: usize) {
        match length {
            length @ 0..=31 => self.0.push(0xa0 | length as u8),
            length @ 32..=0xff => self.head(0xd9, length as u64, 1),
            length @ 0x100..=0xffff => self.head(0xda, length as u64, 2),
            length => self.head(0xdb, length as u64, 4),
        }
    }

    /// Binary.
    pub fn bin(&mut self, bytes: &[u8]) {
        self.bin_head(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// What comes before so many bytes.
    pub fn bin_head(&mut self, length: usize) {
        match length {
            length @ 0..=0xff => self.head(0xc4, length as u64, 1),
            length @ 0x100..=0xffff => self.head(0xc5, length as u64, 2),
            length => self.head(0xc6, length as u64, 4),
        }
    }

    /// The head of an array of `count` values, which the caller writes next.
    pub fn array(&mut self, count: usize) {
        match count {
            0..=15 => self.0.push(0x90 | count as u8),
            16..=0xffff => self.head(0xdc, count as u64, 2),
            _ => self.head(0xdd, count as u64, 4),
        }
    }

    /// The head of a map of `count` keys, which the caller writes next, each with its value.
    pub fn map(&mut self, count: usize) {
        match count {
            0..=15 => self.0.push(0x80 | count as u8),
            16..=0xffff => self.head(0xde, count as u64, 2),
            _ => self.head(0xdf, count as u64, 4),
        }
    }
}
