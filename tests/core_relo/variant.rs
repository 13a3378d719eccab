//! BTF of kernels that never were: a real one with some of its types changed in place, so that all ids stay valid.

use corematrix::bytes::u32_at;

/// Numbers that are the same in every run (xorshift).
pub struct Random(pub u64);

impl Random {
    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Where each type of raw BTF begins, by id; the first is void.
pub fn offsets(raw: &[u8]) -> Vec<usize> {
    let header = u32_at(raw, 4).unwrap() as usize;
    let start = header + u32_at(raw, 8).unwrap() as usize;
    let end = start + u32_at(raw, 12).unwrap() as usize;
    let (mut offsets, mut at) = (vec![usize::MAX], start);
    while at < end {
        offsets.push(at);
        let info = u32_at(raw, at + 4).unwrap();
        let count = (info & 0xffff) as usize;
        at += 12
            + match info >> 24 & 0x1f {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => count * 12,
                6 | 13 => count * 8,
                _ => 0,
            };
    }
    offsets
}

fn put(raw: &mut [u8], at: usize, word: u32) {
    raw[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

/// Types within a few references of these, which is where changes matter.
pub fn near(raw: &[u8], offsets: &[usize], roots: &[u32], most: usize) -> Vec<u32> {
    let mut near: Vec<u32> = roots.to_vec();
    let mut at = 0;
    while at < near.len() && near.len() < most {
        let offset = offsets[near[at] as usize];
        at += 1;
        let info = u32_at(raw, offset + 4).unwrap();
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let mut next: Vec<u32> = match kind {
            2 | 8..=11 | 18 => vec![u32_at(raw, offset + 8).unwrap()],
            3 => vec![u32_at(raw, offset + 12).unwrap()],
            4 | 5 => (0..count).map(|member| u32_at(raw, offset + 16 + member * 12).unwrap()).collect(),
            13 => (0..count).map(|parameter| u32_at(raw, offset + 16 + parameter * 8).unwrap()).collect(),
            _ => Vec::new(),
        };
        next.retain(|id| *id != 0 && !near.contains(id));
        near.extend(next);
    }
    near
}

/// Changes one of the types in one of the ways in which kernels differ, or in one in which only broken BTF does.
pub fn change(raw: &mut [u8], offsets: &[usize], types: &[u32], random: &mut Random) {
    let id = types[random.below(types.len())];
    let offset = offsets[id as usize];
    let info = u32_at(raw, offset + 4).unwrap();
    let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
    let other = types[random.below(types.len())];
    let entry = |random: &mut Random, width: usize| offset + 12 + random.below(count) * width;
    let flip = info ^ 1 << 31;
    match (kind, random.below(8)) {
        // A name of another type, or none.
        (_, 0) => {
            let name = u32_at(raw, offsets[other as usize]).unwrap();
            put(raw, offset, if random.below(3) == 0 { 0 } else { name });
        }
        // Sizes, signs and whether a bitfield may be in it.
        (1, 1 | 2) => put(raw, offset + 8, [1, 2, 4, 8, 16][random.below(5)]),
        (1, 3 | 4) => {
            let encoding = u32_at(raw, offset + 12).unwrap();
            put(raw, offset + 12, encoding ^ 1 << [24, 25, 26, 16][random.below(4)]);
        }
        (6, 1 | 2) | (19, 1 | 2) => put(raw, offset + 8, [1, 2, 4, 8][random.below(4)]),
        (6 | 19 | 7, 3) => put(raw, offset + 4, flip),
        (6, _) if count > 0 => {
            let at = entry(random, 8);
            let name = u32_at(raw, entry(random, 8)).unwrap();
            let place = if random.below(2) == 0 { at } else { at + 4 };
            put(raw, place, if place == at { name } else { name ^ 0x8000_0001 });
        }
        (19, _) if count > 0 => {
            let at = entry(random, 12);
            put(raw, at + 4 + random.below(2) * 4, 0xffff_fff0 + random.below(32) as u32 % 16);
        }
        (3, 1 | 2) => put(raw, offset + 20, random.below(3) as u32),
        (3, _) => put(raw, offset + 12, other),
        // No qualifier or typedef: one that refers to itself goes on for ever in libbpf.
        (2, _) => put(raw, offset + 8, other),
        (4 | 5, 1) => put(raw, offset + 4, info ^ 1 << 24),
        (4 | 5, 2) => put(raw, offset + 8, random.below(5000) as u32),
        (4 | 5, _) if count > 0 => {
            let at = entry(random, 12);
            let from = entry(random, 12);
            match random.below(5) {
                // A name of another member, or none.
                0 => {
                    let name = u32_at(raw, from).unwrap();
                    put(raw, at, if random.below(3) == 0 { 0 } else { name });
                }
                1 => {
                    let type_id = u32_at(raw, from + 4).unwrap();
                    put(raw, at + 4, type_id);
                }
                2 => {
                    let place = u32_at(raw, at + 8).unwrap();
                    put(raw, at + 8, place.wrapping_add(8 * (1 + random.below(600) as u32)));
                }
                3 => {
                    let place = u32_at(raw, at + 8).unwrap();
                    put(raw, at + 8, place ^ 1 << random.below(6));
                }
                _ if info >> 31 == 1 => {
                    let place = u32_at(raw, at + 8).unwrap() & 0xff_ffff;
                    put(raw, at + 8, place | (random.below(70) as u32) << 24);
                }
                _ => {}
            }
        }
        (13, _) if count > 0 => {
            let at = entry(random, 8);
            put(raw, at + 4, other);
        }
        _ => {}
    }
}

/// Takes bitfields away that are of something else than integers: libbpf divides by the size of their type.
pub fn spare_libbpf(raw: &mut [u8], offsets: &[usize]) {
    let is_number = |raw: &[u8], id: u32| {
        let mut id = id;
        for _ in 0..32 {
            let offset = offsets[id as usize];
            if offset == usize::MAX {
                return false;
            }
            let kind = u32_at(raw, offset + 4).unwrap() >> 24 & 0x1f;
            id = u32_at(raw, offset + 8).unwrap();
            match kind {
                8..=11 | 18 => {}
                _ => return matches!(kind, 1 | 6 | 19) && id > 0,
            }
        }
        false
    };
    for &offset in &offsets[1..] {
        let info = u32_at(raw, offset + 4).unwrap();
        if !matches!(info >> 24 & 0x1f, 4 | 5) || info >> 31 == 0 {
            continue;
        }
        for member in 0..(info & 0xffff) as usize {
            let at = offset + 12 + member * 12;
            let (type_id, place) = (u32_at(raw, at + 4).unwrap(), u32_at(raw, at + 8).unwrap());
            if place >> 24 != 0 && !is_number(raw, type_id) {
                put(raw, at + 8, place & 0xff_ffff);
            }
        }
    }
}
