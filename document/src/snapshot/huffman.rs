//! Bytes in canonical Huffman codes of at most 11 bits, in four interleaved runs of bits: a reader follows all four at
//! once, where one alone would wait for itself at every symbol.

use super::SnapshotError;
use super::decode::Input;
use crate::batch::encode::write_number;
use crate::sorted::sort_by_key;

/// Bits of a code, at most: a table of 2,048 entries stays in the cache.
const MAX_BITS: u32 = 11;
const TABLE: usize = 1 << MAX_BITS;
const LANES: usize = 4;

const MALFORMED: SnapshotError = SnapshotError::Malformed("a packed part's codes do not fit");

/// Appends a stream: its length, twice, and one more if it is coded; then its bytes as they are or coded.
pub(super) fn encode(stream: &[u8], out: &mut Vec<u8>) {
    let coded = code(stream).filter(|coded| coded.len() < stream.len());
    write_number((stream.len() as u64) << 1 | u64::from(coded.is_some()), out);
    out.extend_from_slice(coded.as_deref().unwrap_or(stream));
}

/// Reads a stream off the front.
pub(super) fn decode(input: &mut Input<'_>) -> Result<Vec<u8>, SnapshotError> {
    let head = input.number()?;
    let length = usize::try_from(head >> 1).map_err(|_| MALFORMED)?;
    if head & 1 != 0 {
        return decode_coded(input, length);
    }
    let (bytes, rest) = input.0.split_at_checked(length).ok_or(MALFORMED)?;
    input.0 = rest;
    Ok(bytes.to_vec())
}

/// The lengths of the codes; 0 for bytes that do not occur.
fn code_lengths(stream: &[u8]) -> [u8; 256] {
    let mut counts = [0u32; 256];
    for &byte in stream {
        counts[usize::from(byte)] += 1;
    }
    loop {
        let lengths = tree(&counts);
        if lengths.iter().all(|&length| u32::from(length) <= MAX_BITS) {
            return lengths;
        }
        // Flatter counts make shorter codes; in the end all are 1, and all codes 8 bits.
        for count in counts.iter_mut().filter(|count| **count > 0) {
            *count = *count / 2 + 1;
        }
        if counts.iter().all(|&count| count <= 2) {
            counts.iter_mut().for_each(|count| *count = (*count).min(1));
        }
    }
}

fn tree(counts: &[u32; 256]) -> [u8; 256] {
    // Nodes in order of their counts: leaves first, then pairs as they are made, both ascending.
    let mut leaves: Vec<(u32, usize)> =
        counts.iter().enumerate().filter(|&(_, &count)| count > 0).map(|(byte, &count)| (count, byte)).collect();
    sort_by_key(&mut leaves, |&leaf| leaf);
    let mut lengths = [0; 256];
    if let [(_, byte)] = leaves[..] {
        lengths[byte] = 1;
        return lengths;
    }
    let mut weights: Vec<u32> = leaves.iter().map(|leaf| leaf.0).collect();
    let mut parents = vec![0usize; leaves.len()];
    let (mut leaf, mut pair) = (0, leaves.len());
    while weights.len() + 1 < 2 * leaves.len() {
        let mut weight = 0;
        let parent = weights.len();
        for _ in 0..2 {
            let takes_leaf = leaf < leaves.len() && (pair >= weights.len() || weights[leaf] <= weights[pair]);
            let taken = if takes_leaf { &mut leaf } else { &mut pair };
            weight += weights[*taken];
            parents[*taken] = parent;
            *taken += 1;
        }
        weights.push(weight);
        parents.push(0);
    }
    let mut depths = vec![0u8; weights.len()];
    for node in (0..weights.len().saturating_sub(1)).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    for (index, &(_, byte)) in leaves.iter().enumerate() {
        lengths[byte] = depths[index];
    }
    lengths
}

/// Calls for each byte that occurs, in order of the codes: the code with its first bit lowest, and its length.
fn for_codes(lengths: &[u8; 256], mut each: impl FnMut(u8, u32, u32)) -> Option<()> {
    // The bytes in order of their lengths, those of one length in their own order.
    let mut starts = [0usize; MAX_BITS as usize + 2];
    for &length in lengths {
        *starts.get_mut(usize::from(length) + 1)? += 1;
    }
    let unused = starts[1];
    starts[1] = 0;
    for length in 1..starts.len() {
        starts[length] += starts[length - 1];
    }
    let mut sorted = [0u8; 256];
    let mut next = starts;
    for (byte, &length) in lengths.iter().enumerate().filter(|&(_, &length)| length > 0) {
        sorted[next[usize::from(length)]] = byte as u8;
        next[usize::from(length)] += 1;
    }
    let (mut code, mut before) = (0u32, 0);
    for &byte in &sorted[..256 - unused] {
        let length = u32::from(lengths[usize::from(byte)]);
        code <<= length - before;
        before = length;
        if code >> length != 0 {
            return None;
        }
        each(byte, code.reverse_bits() >> (32 - length), length);
        code += 1;
    }
    Some(())
}

fn code(stream: &[u8]) -> Option<Vec<u8>> {
    if stream.is_empty() {
        return None;
    }
    let lengths = code_lengths(stream);
    let mut codes = [(0u32, 0u32); 256];
    for_codes(&lengths, |byte, code, length| codes[usize::from(byte)] = (code, length))?;
    let mut out = Vec::with_capacity(stream.len());
    write_lengths(&lengths, &mut out);
    let lanes: Vec<Vec<u8>> = stream.chunks(stream.len().div_ceil(LANES)).map(|lane| bits(lane, &codes)).collect();
    for lane in (0..LANES - 1).map(|lane| lanes.get(lane).map_or(0, Vec::len)) {
        write_number(lane as u64, &mut out);
    }
    let total: usize = lanes.iter().map(Vec::len).sum();
    write_number(total as u64, &mut out);
    lanes.iter().for_each(|lane| out.extend_from_slice(lane));
    Some(out)
}

fn bits(lane: &[u8], codes: &[(u32, u32); 256]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lane.len());
    let (mut buffer, mut held) = (0u64, 0);
    for &byte in lane {
        let (code, length) = codes[usize::from(byte)];
        buffer |= u64::from(code) << held;
        held += length;
        if held >= 32 {
            out.extend_from_slice(&(buffer as u32).to_le_bytes());
            buffer >>= 32;
            held -= 32;
        }
    }
    while held >= 8 {
        out.push(buffer as u8);
        buffer >>= 8;
        held -= 8;
    }
    if held > 0 {
        out.push(buffer as u8);
    }
    out
}

/// The lengths of all 256 codes: each byte has a length in its upper half and for how many bytes it holds, less one, in
/// its lower.
fn write_lengths(lengths: &[u8; 256], out: &mut Vec<u8>) {
    for same in lengths.chunk_by(|a, b| a == b) {
        for run in same.chunks(16) {
            out.push(run[0] << 4 | (run.len() - 1) as u8);
        }
    }
}

fn read_lengths(input: &mut Input<'_>) -> Option<[u8; 256]> {
    let (mut lengths, mut at) = ([0; 256], 0);
    while at < 256 {
        let (&byte, rest) = input.0.split_first()?;
        input.0 = rest;
        let end = at + usize::from(byte & 15) + 1;
        lengths.get_mut(at..end)?.fill(byte >> 4);
        at = end;
    }
    Some(lengths)
}

/// One lane's bits, first ones lowest.
struct Bits<'a> {
    bytes: &'a [u8],
    buffer: u64,
    held: u32,
}

impl Bits<'_> {
    /// At least 56 bits, zeros after the end.
    #[inline(always)]
    fn refill(&mut self) {
        if let Some(word) = self.bytes.first_chunk::<8>() {
            self.buffer |= u64::from_le_bytes(*word) << self.held;
            let taken = (63 - self.held) / 8;
            self.bytes = &self.bytes[taken as usize..];
            self.held += taken * 8;
        } else {
            while self.held <= 56 {
                let (byte, rest) = self.bytes.split_first().map_or((0, &[][..]), |(byte, rest)| (*byte, rest));
                self.buffer |= u64::from(byte) << self.held;
                self.bytes = rest;
                self.held += 8;
            }
        }
    }

    #[inline(always)]
    fn symbol(&mut self, table: &[u16; TABLE]) -> u8 {
        let entry = table[self.buffer as usize & (TABLE - 1)];
        let length = u32::from(entry >> 8);
        self.buffer >>= length;
        self.held -= length;
        entry as u8
    }
}

/// By the next bits, first one lowest: the byte whose code they begin with, and above it the code's length.
fn table(lengths: &[u8; 256]) -> Option<[u16; TABLE]> {
    let mut table = [0u16; TABLE];
    // Codes come in order of their lengths, so the table grows with them: what is in it is there twice when it has one
    // more bit to look at.
    let (mut size, mut used) = (1, 0);
    let double = |table: &mut [u16; TABLE], size: &mut usize, length: u32| {
        while *size < 1 << length {
            table.copy_within(..*size, *size);
            *size *= 2;
        }
    };
    for_codes(lengths, |byte, code, length| {
        double(&mut table, &mut size, length);
        table[code as usize] = (length as u16) << 8 | u16::from(byte);
        used += TABLE >> length;
    })?;
    double(&mut table, &mut size, MAX_BITS);
    // A code that nothing has would stand still for ever; only a single symbol's second one is without use.
    if table[0] == 0 {
        return None;
    }
    if used < TABLE {
        for entry in table.iter_mut().filter(|entry| **entry == 0) {
            *entry = 1 << 8;
        }
    }
    Some(table)
}

fn decode_coded(input: &mut Input<'_>, length: usize) -> Result<Vec<u8>, SnapshotError> {
    let lengths = read_lengths(input).ok_or(MALFORMED)?;
    let table = table(&lengths).ok_or(MALFORMED)?;
    let mut sizes = [0; LANES];
    for size in &mut sizes {
        *size = usize::try_from(input.number()?).map_err(|_| MALFORMED)?;
    }
    let total = sizes[LANES - 1];
    let (mut bytes, rest) = input.0.split_at_checked(total).ok_or(MALFORMED)?;
    input.0 = rest;
    // A symbol takes a bit at least.
    if length > total.saturating_mul(8) || length == 0 {
        return Err(MALFORMED);
    }
    let mut lanes = Vec::with_capacity(LANES);
    for &size in &sizes[..LANES - 1] {
        let (lane, rest) = bytes.split_at_checked(size).ok_or(MALFORMED)?;
        lanes.push(Bits { bytes: lane, buffer: 0, held: 0 });
        bytes = rest;
    }
    lanes.push(Bits { bytes, buffer: 0, held: 0 });
    let mut out = vec![0; length];
    let mut parts = out.chunks_mut(length.div_ceil(LANES));
    let parts: [&mut [u8]; LANES] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    if let Ok(lanes) = <[Bits<'_>; LANES]>::try_from(lanes) {
        decode_lanes(lanes, parts, &table);
    }
    Ok(out)
}

fn decode_lanes(mut lanes: [Bits<'_>; LANES], parts: [&mut [u8]; LANES], table: &[u16; TABLE]) {
    // Five codes of at most 11 bits for each filling of 56.
    let [a, b, c, d] = parts;
    let (a_fives, a_rest) = a.as_chunks_mut::<5>();
    let (b_fives, b_rest) = b.as_chunks_mut::<5>();
    let (c_fives, c_rest) = c.as_chunks_mut::<5>();
    let (d_fives, d_rest) = d.as_chunks_mut::<5>();
    let shortest = [a_fives.len(), b_fives.len(), c_fives.len(), d_fives.len()].into_iter().min().unwrap_or(0);
    let [first, second, third, fourth] = &mut lanes;
    let fives = a_fives.iter_mut().zip(b_fives.iter_mut()).zip(c_fives.iter_mut().zip(d_fives.iter_mut()));
    for ((a, b), (c, d)) in fives {
        first.refill();
        second.refill();
        third.refill();
        fourth.refill();
        for index in 0..5 {
            a[index] = first.symbol(table);
            b[index] = second.symbol(table);
            c[index] = third.symbol(table);
            d[index] = fourth.symbol(table);
        }
    }
    let rests = [(a_fives, a_rest), (b_fives, b_rest), (c_fives, c_rest), (d_fives, d_rest)];
    for (lane, (fives, rest)) in lanes.iter_mut().zip(rests) {
        for symbol in fives[shortest..].as_flattened_mut().iter_mut().chain(rest) {
            lane.refill();
            *symbol = lane.symbol(table);
        }
    }
}
