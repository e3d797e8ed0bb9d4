//! XXH64 with seed 0: a checksum against damage, not against forgery.

const PRIME: [u64; 5] =
    [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63, 0x27d4_eb2f_1656_67c5];

fn round(state: u64, word: u64) -> u64 {
    state.wrapping_add(word.wrapping_mul(PRIME[1])).rotate_left(31).wrapping_mul(PRIME[0])
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// The XXH64 of bytes.
pub(crate) fn xxh64(bytes: &[u8]) -> u64 {
    let (stripes, mut rest) = bytes.split_at(bytes.len() / 32 * 32);
    let mut hash = if stripes.is_empty() {
        PRIME[4]
    } else {
        let mut state = [PRIME[0].wrapping_add(PRIME[1]), PRIME[1], 0, PRIME[0].wrapping_neg()];
        for stripe in stripes.as_chunks::<32>().0 {
            for (lane, word) in state.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
        }
        let turns = [1, 7, 12, 18];
        let mixed = state.iter().zip(turns).fold(0u64, |hash, (lane, turn)| hash.wrapping_add(lane.rotate_left(turn)));
        state.iter().fold(mixed, |hash, &lane| (hash ^ round(0, lane)).wrapping_mul(PRIME[0]).wrapping_add(PRIME[3]))
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        hash =
            (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27).wrapping_mul(PRIME[0]).wrapping_add(PRIME[3]);
        rest = after;
    }
    if let Some((word, after)) = rest.split_first_chunk::<4>() {
        let word = little_endian(word);
        hash = (hash ^ word.wrapping_mul(PRIME[0])).rotate_left(23).wrapping_mul(PRIME[1]).wrapping_add(PRIME[2]);
        rest = after;
    }
    for &byte in rest {
        hash = (hash ^ u64::from(byte).wrapping_mul(PRIME[4])).rotate_left(11).wrapping_mul(PRIME[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIME[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIME[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::xxh64;

    #[test]
    fn known_answers() {
        let cases: [(&[u8], u64); 4] = [
            (b"", 0xef46_db37_51d8_e999),
            (b"a", 0xd24e_c4f1_a98c_6e5b),
            (b"abc", 0x44bc_2cf5_ad77_0999),
            (b"Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
        ];
        for (bytes, hash) in cases {
            assert_eq!(xxh64(bytes), hash, "{:?}", std::str::from_utf8(bytes));
        }
    }
}
