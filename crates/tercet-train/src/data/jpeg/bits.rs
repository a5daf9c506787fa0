//! The entropy-coded data of a JPEG scan, bit by bit, and its Huffman codes.

/// The number of bits that the lookup table of short codes uses.
const LOOK: usize = 9;

/// A Huffman table.
pub(super) struct Codes {
    /// For the next [`LOOK`] bits: the length of the code and its symbol; length 0 if the code is
    /// longer.
    short: [(u8, u8); 1 << LOOK],
    /// For each length: the first code that is longer, shifted left to 16 bits.
    end: [u32; 18],
    /// For each length: the number to add to a code to get the index of its symbol.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Codes {
    /// Creates a table from the number of codes of each length, 1 to 16, and their symbols; `None`
    /// if the lengths are not those of a prefix code.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut codes = Self {
            short: [(0, 0); 1 << LOOK],
            end: [0; 18],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16_usize {
            codes.offset[length] = place as i32 - code as i32;
            for _ in 0..counts[length - 1] {
                if length <= LOOK {
                    let first = (code as usize) << (LOOK - length);
                    let entries = codes.short.get_mut(first..first + (1 << (LOOK - length)))?;
                    entries.fill((length as u8, *symbols.get(place)?));
                }
                code += 1;
                place += 1;
            }
            if code > 1 << length {
                return None;
            }
            codes.end[length] = code << (16 - length);
            code <<= 1;
        }
        codes.end[17] = u32::MAX;
        (place == symbols.len()).then_some(codes)
    }
}

/// Why a scan cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A marker appears before the expected data.
    Missing,
    /// The bits are not a code.
    NoCode,
}

/// Reads bits up to the next marker.
pub(super) struct Bits<'a> {
    file: &'a [u8],
    at: usize,
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(file: &'a [u8], at: usize) -> Self {
        Self { file, at, buffer: 0, count: 0 }
    }

    /// The next byte of data; `None` at a marker. Stuffed zeros are left out.
    fn byte(&mut self) -> Option<u8> {
        match (*self.file.get(self.at)?, self.file.get(self.at + 1)) {
            (0xFF, Some(0)) => {
                self.at += 2;
                Some(0xFF)
            }
            (0xFF, _) => None,
            (byte, _) => {
                self.at += 1;
                Some(byte)
            }
        }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(byte) = self.byte() else { return };
            self.buffer = (self.buffer << 8) | u64::from(byte);
            self.count += 8;
        }
    }

    /// Returns the next bits without consuming them, as if zeros followed the data.
    fn peek(&mut self, bits: u32) -> u32 {
        if self.count < bits {
            self.fill();
        }
        let mask = (1_u64 << bits) - 1;
        match self.count >= bits {
            true => ((self.buffer >> (self.count - bits)) & mask) as u32,
            false => ((self.buffer << (bits - self.count)) & mask) as u32,
        }
    }

    /// Consumes at most 16 bits and returns them.
    pub(super) fn take(&mut self, bits: u32) -> Result<u32, Stop> {
        let value = self.peek(bits);
        if self.count < bits {
            return Err(Stop::Missing);
        }
        self.count -= bits;
        Ok(value)
    }

    /// Consumes a code and returns its symbol.
    pub(super) fn symbol(&mut self, codes: &Codes) -> Result<u8, Stop> {
        let look = self.peek(16);
        let (length, symbol) = codes.short[(look >> (16 - LOOK)) as usize];
        if length > 0 {
            return self.take(u32::from(length)).map(|_| symbol);
        }
        let length = (LOOK + 1..=16).find(|&length| look < codes.end[length]);
        let Some(length) = length else {
            return Err(if self.count < 16 { Stop::Missing } else { Stop::NoCode });
        };
        let code = self.take(length as u32)? as i32;
        let place = usize::try_from(code + codes.offset[length]).map_err(|_| Stop::NoCode)?;
        codes.symbols.get(place).copied().ok_or(Stop::NoCode)
    }

    /// Moves to the next marker and returns the number of bytes of data before it. If these bytes
    /// are all equal, they are padding and count as 0.
    pub(super) fn finish(&mut self) -> usize {
        let mut left: Vec<u8> = Vec::new();
        for place in 1..=self.count / 8 {
            left.push((self.buffer >> (8 * (self.count / 8 - place))) as u8);
        }
        while let Some(byte) = self.byte() {
            left.push(byte);
        }
        (self.buffer, self.count) = (0, 0);
        match left.first() {
            Some(first) if left.iter().any(|byte| byte != first) => left.len(),
            _ => 0,
        }
    }

    /// The marker at the current position and the position after it; none at the end of the file.
    /// Call [`finish`](Self::finish) first.
    pub(super) fn marker(&self) -> Option<(u8, usize)> {
        let behind = self.file.get(self.at..)?;
        let fill = behind.iter().position(|&byte| byte != 0xFF)?;
        Some((behind[fill], self.at + fill + 1))
    }

    /// Moves to a position, such as the one after a marker.
    pub(super) fn go_to(&mut self, at: usize) {
        (self.at, self.buffer, self.count) = (at, 0, 0);
    }
}
