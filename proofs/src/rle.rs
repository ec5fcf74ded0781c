//! RLE+ bit fields (Filecoin spec, go-bitfield `rle`): here the list of byte ranges that are set.
//!
//! Two bits of version (0), one for the first run's value, then a block a run: `1` a run of one, `01` and
//! four bits a run below 16, `00` and a varint a longer one. Bits fill bytes from the lowest.

/// Set ranges, in order, apart from each other: `(start, end)`.
pub type Ranges = Vec<(u64, u64)>;

/// Adds a range, joining what touches.
pub fn add(ranges: &mut Ranges, start: u64, end: u64) {
    if start >= end {
        return;
    }
    ranges.push((start, end));
    ranges.sort_unstable();
    let mut joined: Ranges = Vec::with_capacity(ranges.len());
    for &(from, to) in ranges.iter() {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    *ranges = joined;
}

pub fn covers(ranges: &Ranges, start: u64, end: u64) -> bool {
    start >= end || ranges.iter().any(|(from, to)| *from <= start && end <= *to)
}

pub fn encode(ranges: &Ranges) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0, 2);
    bits.put(u64::from(ranges.first().is_some_and(|(start, _)| *start == 0)), 1);
    let mut at = 0;
    for &(start, end) in ranges {
        if start > at {
            put_run(&mut bits, start - at);
        }
        put_run(&mut bits, end - start);
        at = end;
    }
    bits.bytes
}

/// `None` when the bytes are no RLE+.
pub fn decode(bytes: &[u8]) -> Option<Ranges> {
    let mut ranges = Ranges::new();
    if bytes.is_empty() {
        return Some(ranges);
    }
    let mut bits = Reader { bytes, at: 0 };
    if bits.take(2)? != 0 {
        return None;
    }
    let mut set = bits.take(1)? == 1;
    let mut at = 0u64;
    while let Some(length) = next_run(&mut bits)? {
        let end = at.checked_add(length)?;
        if set {
            ranges.push((at, end));
        }
        at = end;
        set = !set;
    }
    Some(ranges)
}

fn put_run(bits: &mut Bits, length: u64) {
    match length {
        1 => bits.put(1, 1),
        2..=15 => {
            bits.put(0b10, 2);
            bits.put(length, 4);
        }
        _ => {
            bits.put(0, 2);
            let mut rest = length;
            while rest >= 0x80 {
                bits.put(rest & 0x7f | 0x80, 8);
                rest >>= 7;
            }
            bits.put(rest, 8);
        }
    }
}

/// `Some(None)` at the end; the zero bits that fill the last byte read as the beginning of a long run.
fn next_run(bits: &mut Reader) -> Option<Option<u64>> {
    let Some(first) = bits.take(1) else { return Some(None) };
    if first == 1 {
        return Some(Some(1));
    }
    let Some(second) = bits.take(1) else { return Some(None) };
    if second == 1 {
        let length = bits.take(4)?;
        return Some((length > 0).then_some(length));
    }
    let mut length = 0u64;
    for shift in (0..64).step_by(7) {
        let Some(byte) = bits.take(8) else { return Some(None) };
        length |= (byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((length > 0).then_some(length));
        }
    }
    None
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u64, count: u32) {
        for bit in 0..count {
            if self.used % 8 == 0 {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("pushed above");
            *last |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<u64> {
        if self.at + count > self.bytes.len() * 8 {
            return None;
        }
        let bit = |at: usize| u64::from(self.bytes[at / 8] >> (at % 8) & 1);
        let value = (0..count).map(|offset| bit(self.at + offset) << offset).sum();
        self.at += count;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let fields: [Ranges; 6] = [
            vec![],
            vec![(0, 2048)],
            vec![(0, 1)],
            vec![(5, 6), (8, 20), (40, 34_359_738_368)],
            vec![(1024, 2048)],
            vec![(0, 15), (16, 32), (33, 35)],
        ];
        for field in fields {
            assert_eq!(decode(&encode(&field)), Some(field));
        }
        assert_eq!(decode(&[]), Some(vec![]));
    }

    #[test]
    fn a_field_that_lotus_wrote() {
        // One run of 2048 set bits, as go-bitfield encodes it.
        assert_eq!(encode(&vec![(0, 2048)]), [0x04, 0x10, 0x02]);
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = vec![(0, 128)];
        add(&mut ranges, 256, 512);
        add(&mut ranges, 128, 256);
        assert_eq!(ranges, [(0, 512)]);
        assert!(covers(&ranges, 0, 512) && !covers(&ranges, 511, 513));
    }
}
