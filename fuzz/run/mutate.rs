//! Packets that are slightly wrong: known packets are changed, cut, duplicated and joined, partly with
//! knowledge of DHCP's format.

/// Longest mutated datagram, in bytes.
const BYTES_MAX: usize = 1600;
/// Most changes to one packet.
const CHANGES_MAX: u64 = 6;
/// Where the options begin (RFC 2131 section 2).
const OPTIONS: usize = 240;
const ODD_BYTES: [u8; 10] = [0, 1, 2, 3, 4, 7, 53, 82, 128, 255];

/// Values with a meaning for a server, by option.
const VALUES: &[(u8, &[u8])] = &[
    (12, b"host"),
    (12, b"\xff\xfe"),
    (43, b"\x47\x04\x00\x00\x00\x00\xff"),
    (50, &[10, 0, 0, 100]),
    (50, &[10, 0, 0, 20]),
    (50, &[10, 5, 0, 2]),
    (50, &[172, 17, 0, 1]),
    (50, &[10, 0, 0, 0]),
    (50, &[10, 0, 0, 1]),
    (51, &[0, 0, 0, 1]),
    (51, &[255, 255, 255, 255]),
    (52, &[1]),
    (52, &[3]),
    (53, &[1]),
    (53, &[3]),
    (53, &[4]),
    (53, &[7]),
    (53, &[8]),
    (54, &[10, 0, 0, 1]),
    (54, &[10, 9, 9, 9]),
    (54, &[10, 5, 0, 254]),
    (55, &[1, 3, 6, 15, 66, 67, 119, 121, 150, 224]),
    (55, &[]),
    (57, &[1, 0]),
    (57, &[5, 220]),
    (57, &[255, 255]),
    (60, b"PXEClient:Arch:00000:UNDI:002001"),
    (60, b"PXEClient:Arch:00007:UNDI:003016"),
    (60, b"HTTPClient:Arch:00016:UNDI:003001"),
    (60, b"MSFT 5.0"),
    (61, &[1, 2, 0, 0, 0, 0, 1]),
    (61, &[0xff, 0, 0, 0, 1, 0xaa, 0xbb]),
    (77, b"iPXE"),
    (77, b"\x04iPXE"),
    (77, b"metalwright"),
    (80, &[]),
    (81, &[0, 0, 0]),
    (82, b"\x01\x06eth1/7"),
    (82, b"\x01\x06eth1/8\x02\x08\x00\x06\xc0\xff\xee\x00\x00\x01"),
    (82, b"\x05\x04\x0a\x06\x00\x00"),
    (82, b"\x0b\x04\x0a\x05\x00\xfe"),
    (82, b"\x13\x00"),
    (82, b"\x01\x03a\x00\x00\x01\x01b\xc8\x00"),
    (93, &[0, 0]),
    (93, &[0, 7]),
    (93, &[0, 11]),
    (93, &[0, 16, 0, 7]),
    (94, &[1, 2]),
    (97, &[0; 17]),
    (97, &[1]),
    (116, &[1]),
    (118, &[10, 6, 0, 0]),
    (119, b"\x03www\xc0\x00"),
    (121, &[33, 1]),
    (175, b"\x13\x01\x01\x11\x01\x01\x21\x01\x01"),
];
const ADDRESSES: [[u8; 4]; 12] = [
    [0, 0, 0, 0],
    [10, 0, 0, 100],
    [10, 0, 0, 101],
    [10, 0, 0, 20],
    [10, 0, 0, 104],
    [10, 0, 0, 254],
    [10, 5, 0, 254],
    [10, 5, 9, 254],
    [10, 6, 0, 254],
    [10, 7, 0, 50],
    [172, 17, 0, 3],
    [255, 255, 255, 255],
];
/// The last byte of the hardware addresses that the world knows.
const KNOWN: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 0x11, 0x21, 0x22, 0x24, 0x99];

/// Pseudo-random numbers that are the same for a seed (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16;
        usize::try_from(number % end.max(1) as u64).unwrap_or(0)
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A packet made from two others.
pub fn mutated(random: &mut Random, (from, other): (&[u8], &[u8])) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..=random.below(CHANGES_MAX as usize) {
        change(random, &mut bytes, other);
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        bytes.push(1);
    }
    let at = random.below(bytes.len());
    match random.below(16) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.of(&ODD_BYTES),
        2 => bytes.truncate(at),
        3 => drop(bytes.remove(at)),
        4 => bytes.insert(at, random.of(&ODD_BYTES)),
        5 => {
            let piece = other.get(random.below(other.len())..).unwrap_or_default().to_vec();
            bytes.truncate(at);
            bytes.extend(piece);
        }
        6 => {
            let end = (at + random.below(64)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        7 => put(bytes, 12, &random.of(&ADDRESSES)),
        8 => put(bytes, 24, &random.of(&ADDRESSES)),
        9 => put(bytes, 28, &[2, 0, 0, 0, 0, random.of(&KNOWN)]),
        10 => put(bytes, 1, &[random.of(&[1, 6, 7, 32]), random.of(&[0, 6, 7, 8, 16, 17, 255])]),
        11 => put(bytes, 10, &random.of(&[[0, 0], [0x80, 0], [0xff, 0xff]])),
        12 | 13 => add_option(random, bytes),
        14 => change_option(random, bytes),
        _ => take_option(random, bytes),
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Where each option begins.
fn options(bytes: &[u8]) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), OPTIONS);
    while let Some([code, length]) = bytes.get(at..at + 2).and_then(|head| head.first_chunk::<2>()) {
        match code {
            0 => at += 1,
            255 => break,
            _ => {
                found.push(at);
                at += 2 + usize::from(*length);
            }
        }
    }
    found
}

fn add_option(random: &mut Random, bytes: &mut Vec<u8>) {
    if bytes.len() < OPTIONS {
        return;
    }
    let (code, value) = random.of(VALUES);
    let known = options(bytes);
    let old = known.iter().copied().find(|at| bytes[*at] == code).filter(|_| random.below(4) > 0);
    if let Some(at) = old {
        take(bytes, at);
    }
    let at = if old.is_some() || known.is_empty() { OPTIONS } else { random.of(&known) };
    let mut option = vec![code, u8::try_from(value.len()).unwrap_or(255)];
    option.extend(value);
    let at = at.min(bytes.len());
    bytes.splice(at..at, option);
}

fn change_option(random: &mut Random, bytes: &mut [u8]) {
    let known = options(bytes);
    if known.is_empty() {
        return;
    }
    let at = random.of(&known);
    let place = at + random.below(2 + usize::from(bytes[at + 1]));
    if let Some(byte) = bytes.get_mut(place) {
        *byte = random.of(&ODD_BYTES);
    }
}

fn take_option(random: &mut Random, bytes: &mut Vec<u8>) {
    let known = options(bytes);
    if !known.is_empty() {
        take(bytes, random.of(&known));
    }
}

fn take(bytes: &mut Vec<u8>, at: usize) {
    let end = (at + 2 + usize::from(bytes[at + 1])).min(bytes.len());
    bytes.drain(at..end);
}
