//! Checks that a JPEG file is complete, from its first block to its end.
//!
//! The decoder fills the missing parts of a damaged file with grey and reports success, so that a
//! partly downloaded photograph would be trained on without notice. Therefore every code of the
//! picture is read once more, without computing pixels. Damage is: a code that does not exist, data
//! that end too early, or data that are left when all blocks were read. Not detected are: changed
//! bytes that happen to be valid codes for as many blocks as before, which change colours but no
//! positions; and missing complete scans of a progressive file after the first, which cost detail.

mod bits;
mod scan;

use bits::{Bits, Codes};
use scan::{Component, Scan};

const EOI: u8 = 0xD9;
const TEM: u8 = 0x01;
const SOI: u8 = 0xD8;

/// Whether the end-of-image marker exists. Segments are skipped by their length, so that the marker
/// of a thumbnail inside of one does not count.
pub(crate) fn is_complete(file: &[u8]) -> bool {
    let mut at = 0;
    while let Some(skip) =
        file.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF))
    {
        at += skip + 1;
        match file.get(at) {
            None => return false,
            // An escaped 0xFF of the entropy-coded data, or a restart marker between them.
            Some(0x00 | 0xD0..=0xD7) => at += 1,
            // A fill byte: the marker follows it.
            Some(0xFF) => {}
            Some(&EOI) => return true,
            Some(&(SOI | TEM)) => at += 1,
            Some(_) => match file.get(at + 1..at + 3) {
                Some(&[high, low]) => at += 1 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
    false
}

/// Reads all scans of a file that a decoder has accepted. The error says what is wrong with the
/// data. Frames other than baseline, extended and progressive Huffman are not checked.
pub(crate) fn check(file: &[u8]) -> Result<(), String> {
    File::default().walk(file).unwrap_or(Ok(()))
}

/// What has been read of a file so far.
#[derive(Default)]
struct File {
    /// Huffman tables of DC and of AC coefficients.
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    restart: usize,
    progressive: bool,
    units: (usize, usize),
    components: Vec<Component>,
    /// For each component, whether a scan of it has been read.
    seen: Vec<bool>,
}

impl File {
    /// Checks the file; `None` if it contains something that this module does not check.
    fn walk(&mut self, file: &[u8]) -> Option<Result<(), String>> {
        let mut bits = Bits::new(file, 2);
        loop {
            bits.finish();
            let (marker, behind) = bits.marker()?;
            if marker == EOI {
                let missing = self.seen.iter().any(|seen| !seen);
                return Some(match missing {
                    true => Err("the data of a colour is missing".to_owned()),
                    false => Ok(()),
                });
            }
            if matches!(marker, SOI | TEM | 0xD0..=0xD7) {
                bits.go_to(behind);
                continue;
            }
            let length = usize::from(u16::from_be_bytes(*file.get(behind..)?.first_chunk()?));
            let body = file.get(behind + 2..behind + length)?;
            bits.go_to(behind + length);
            match marker {
                0xC0..=0xC2 => self.frame(body, marker == 0xC2)?,
                0xC4 => self.tables(body)?,
                // Other frames, and heights that are given later.
                0xC3 | 0xC5..=0xCF | 0xDC => return None,
                0xDD => self.restart = usize::from(u16::from_be_bytes(*body.first_chunk()?)),
                0xDA => {
                    if !self.progressive && self.seen.iter().all(|&seen| seen) {
                        return Some(Ok(())); // decoders return the first picture
                    }
                    let done = self.scan(body, &mut bits)?;
                    if done.is_err() {
                        return Some(done);
                    }
                }
                _ => {}
            }
        }
    }

    fn frame(&mut self, body: &[u8], progressive: bool) -> Option<()> {
        let &[8, h1, h0, w1, w0, count, ref parts @ ..] = body else { return None };
        let height = usize::from(u16::from_be_bytes([h1, h0]));
        let width = usize::from(u16::from_be_bytes([w1, w0]));
        let parts = parts.as_chunks::<3>().0.get(..usize::from(count))?;
        let factors =
            |&[_, factors, _]: &[u8; 3]| (usize::from(factors >> 4), usize::from(factors & 15));
        let most_across = parts.iter().map(|part| factors(part).0).max()?;
        let most_down = parts.iter().map(|part| factors(part).1).max()?;
        if height == 0
            || width == 0
            || parts.iter().any(|part| [factors(part).0, factors(part).1].contains(&0))
        {
            return None;
        }
        self.progressive = progressive;
        self.units = (width.div_ceil(8 * most_across), height.div_ceil(8 * most_down));
        self.components = parts
            .iter()
            .map(|part| {
                let (across, down) = factors(part);
                let columns = (width * across).div_ceil(most_across).div_ceil(8);
                let rows = (height * down).div_ceil(most_down).div_ceil(8);
                let known = if progressive { vec![0; columns * rows] } else { Vec::new() };
                Component { id: part[0], across, down, width: columns, height: rows, known }
            })
            .collect();
        self.seen = vec![false; self.components.len()];
        Some(())
    }

    fn tables(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let (symbols, rest) =
                rest.split_at_checked(counts.iter().map(|&count| usize::from(count)).sum())?;
            let tables = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(kind & 15))? = Some(Codes::new(counts, symbols)?);
            body = rest;
        }
        Some(())
    }

    fn scan(&mut self, body: &[u8], bits: &mut Bits<'_>) -> Option<Result<(), String>> {
        let (&count, rest) = body.split_first()?;
        let (chosen, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, approximation] = rest.first_chunk()?;
        let (first, last) = match self.progressive {
            true => (u32::from(first), u32::from(last)),
            false => (0, 63),
        };
        let refines = self.progressive && approximation >> 4 > 0;
        if last > 63 || first > last {
            return None;
        }
        let mut parts = Vec::new();
        for &[id, tables] in chosen.as_chunks::<2>().0 {
            let place = self.components.iter().position(|component| component.id == id)?;
            let dc = self.dc.get(usize::from(tables >> 4))?.as_ref();
            let ac = self.ac.get(usize::from(tables & 15))?.as_ref();
            // A scan whose table is missing is not checked.
            if (first == 0 && !refines && dc.is_none()) || (last > 0 && ac.is_none()) {
                return None;
            }
            parts.push((place, dc, ac));
        }
        if parts.is_empty() || (parts.len() > 1 && self.progressive && last > 0) {
            return None;
        }
        for &(place, ..) in &parts {
            self.seen[place] |= first == 0;
        }
        let scan = Scan {
            progressive: self.progressive,
            parts,
            band: (first, last),
            refines,
            units: self.units,
            restart: self.restart,
        };
        Some(scan.check(bits, &mut self.components))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_image_itself_counts() {
        let thumbnail = [0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
        assert!(!is_complete(&thumbnail));
        let scan = [0xFF, 0xDA, 0, 2, 7, 0xFF, 0x00, 0xFF, 0xD3, 9, 0xFF];
        assert!(!is_complete(&[&thumbnail[..], &scan].concat()));
        assert!(is_complete(&[&thumbnail[..], &scan, &[0xFF, 0xD9]].concat()));
        assert!(is_complete(&[&thumbnail[..], &scan, &[0xD9, 1, 2, 3]].concat()));
        assert!(!is_complete(&[0xFF, 0xD8, 0xFF, 0xE1, 0xFF, 0xFF, 0xFF, 0xD9]));
        assert!(!is_complete(&[]));
    }

    /// A picture of 96×64 pixels with detail everywhere.
    fn picture() -> Vec<u8> {
        let image = image::RgbImage::from_fn(96, 64, |x, y| {
            let noise = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 26;
            image::Rgb([(2 * x) as u8 ^ noise as u8, (3 * y) as u8, (x + y) as u8 ^ noise as u8])
        });
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90)
            .encode_image(&image)
            .unwrap();
        bytes
    }

    #[test]
    fn damage_in_the_middle_is_found() {
        let whole = picture();
        assert_eq!(check(&whole), Ok(()));
        let middle = whole.len() / 3;
        // A part is missing, as in a file that was joined wrongly.
        let cut = [&whole[..middle], &whole[whole.len() - 40..]].concat();
        assert!(check(&cut).is_err());
        // A sector of zeros, as on a damaged disk; of text; with the end of another file.
        for filling in [&[0_u8; 512][..], &[b'x'; 512], &[0xFF, 0xD9]] {
            let mut damaged = whole.clone();
            damaged[middle..middle + filling.len()].copy_from_slice(filling);
            let reason = check(&damaged).unwrap_err();
            assert!(reason.contains("picture") || reason.contains("left over"), "{reason}");
        }
    }

    #[test]
    fn files_of_other_writers_are_whole() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "jpg") {
                continue;
            }
            let whole = std::fs::read(&path).unwrap();
            assert_eq!(check(&whole), Ok(()), "{}", path.display());
            // Half of the data is missing.
            let start = whole.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
            let cut = start + (whole.len() - start) / 2;
            let half = [&whole[..cut], &[0xFF, 0xD9]].concat();
            let is_progressive = whole.windows(2).any(|pair| pair == [0xFF, 0xC2]);
            // In a progressive file, scans after the first may be missing.
            assert!(check(&half).is_err() || is_progressive, "{}", path.display());
            names.push(path);
        }
        assert!(names.len() >= 6, "{names:?}");
    }
}
