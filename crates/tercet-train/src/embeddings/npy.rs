//! `.npy`: a header in Python's notation, followed by the values.
//!
//! NumPy's format, versions 1 to 3. The header is not trusted: what it claims is compared with the
//! length of the file before memory is allocated.

use ndarray::{Array2, ArrayView2};

use super::OutOfRange;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The values start at a multiple of this, as in files that NumPy writes.
const ALIGNMENT: usize = 64;

/// An array whose header agrees with the length of its data.
pub(crate) struct Npy<'a> {
    /// The type as in the header: `<f4`, `|i1`, …
    kind: &'a str,
    fortran_order: bool,
    pub(crate) shape: Vec<usize>,
    width: usize,
    data: &'a [u8],
}

/// Decodes a text in bytes, which is padded with zeros.
fn of_bytes(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    std::str::from_utf8(&bytes[..end]).ok().map(str::to_owned)
}

/// Decodes a text with four bytes per character, which is padded with zeros.
fn of_unicode(bytes: &[u8], big_endian: bool) -> Option<String> {
    let (chunks, _) = bytes.as_chunks::<4>();
    let number = |&bytes: &[u8; 4]| match big_endian {
        true => u32::from_be_bytes(bytes),
        false => u32::from_le_bytes(bytes),
    };
    let text: Option<String> = chunks.iter().map(number).map(char::from_u32).collect();
    text.map(|text| text.trim_end_matches('\0').to_owned())
}

/// The number of first bytes of a file that contain the header, unless it is a very long one.
pub(crate) const HEADER: u64 = 1 << 16;

/// Compares what the header claims with the length of the whole file. A header that does not end
/// within the `first` bytes is not checked.
pub(crate) fn check_length(first: &[u8], length: u64) -> Result<(), String> {
    match split(first) {
        Ok((header, data)) => {
            let behind = length.saturating_sub((first.len() - data.len()) as u64);
            Header::parse(header)?.fits(behind)
        }
        Err(reason) if (first.len() as u64) == length => Err(reason),
        Err(reason) if !first.starts_with(MAGIC) => Err(reason),
        Err(_) => Ok(()),
    }
}

struct Header<'a> {
    kind: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
    /// Bytes of one value or text.
    width: usize,
}

impl<'a> Header<'a> {
    fn parse(header: &'a str) -> Result<Self, String> {
        let (kind, fortran_order, shape) = Literal(header).dictionary().ok_or_else(|| {
            let header: String = header.trim().chars().take(200).collect();
            format!("its header is `{header}`, expected descr, fortran_order and shape")
        })?;
        let width = kind.get(2..).and_then(|width| width.parse::<usize>().ok());
        let width = width.filter(|_| kind.starts_with(['<', '>', '|', '=']));
        // Unicode texts have four bytes per character.
        let width = match kind.get(1..2) {
            Some("U") => width.and_then(|width| width.checked_mul(4)),
            _ => width,
        };
        let width = width.ok_or_else(|| match kind.get(1..2) {
            Some("O") => format!(
                "its type is {kind} (objects of Python), which only Python can read: save an array \
                 of texts or numbers, as with numpy.save(FILE, numpy.array(labels, dtype=str))"
            ),
            _ => format!("its type is {kind}, expected numbers"),
        })?;
        Ok(Self { kind, fortran_order, shape, width })
    }

    fn fits(&self, length: u64) -> Result<(), String> {
        let Self { kind, shape, width, .. } = self;
        let claimed = shape.iter().try_fold(*width, |bytes, &side| bytes.checked_mul(side));
        if claimed.map(|claimed| claimed as u64) == Some(length) {
            return Ok(());
        }
        let claimed = claimed.map_or("more than any memory has".to_owned(), |n| n.to_string());
        Err(format!(
            "its shape {shape:?} of type {kind} takes {claimed} bytes, the file holds {length}"
        ))
    }
}

impl<'a> Npy<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let (header, data) = split(bytes)?;
        let header = Header::parse(header)?;
        header.fits(data.len() as u64)?;
        let Header { kind, fortran_order, shape, width } = header;
        Ok(Self { kind, fortran_order, shape, width, data })
    }

    /// The array as a matrix, from f16, f32 or f64, and the values that exceed the range of f32.
    pub(crate) fn matrix(&self) -> Result<(Array2<f32>, OutOfRange), String> {
        let &[rows, columns] = self.shape.as_slice() else {
            return Err(format!("its shape is {:?}, expected rows × dimensions", self.shape));
        };
        let mut beyond = OutOfRange::default();
        let values: Vec<f32> = match &self.kind[1..] {
            "f2" => self.values(|bytes| half::f16::from_le_bytes(bytes).to_f32()),
            "f4" => self.values(f32::from_le_bytes),
            "f8" => {
                // The indices are those in the matrix, whatever the order in the file is.
                let values: Vec<f64> = self.values(f64::from_le_bytes);
                let values = self.laid_out(rows, columns, values)?;
                values
                    .iter()
                    .enumerate()
                    .map(|(place, &value)| beyond.narrow(value, place))
                    .collect()
            }
            _ => {
                return Err(format!(
                    "its type is {}, expected f16, f32 or f64 (vectors.astype('float32'))",
                    self.kind
                ));
            }
        };
        let matrix = match &self.kind[1..] {
            "f8" => {
                Array2::from_shape_vec((rows, columns), values).map_err(|error| error.to_string())
            }
            _ => self.laid_out(rows, columns, values),
        };
        Ok((matrix?, beyond))
    }

    /// The array as texts: from integers, bytes (UTF-8) or Unicode.
    pub(crate) fn texts(&self) -> Result<Vec<String>, String> {
        let encoded = match self.kind.get(1..2) {
            Some("S" | "a") => self.data.chunks_exact(self.width.max(1)).map(of_bytes).collect(),
            Some("U") => {
                let width = self.width.max(4);
                let big_endian = self.kind.starts_with('>');
                self.data.chunks_exact(width).map(|text| of_unicode(text, big_endian)).collect()
            }
            Some("f") => {
                return Err(format!(
                    "its type is {}, expected whole numbers or texts: labels.astype(int) or \
                     labels.astype(str)",
                    self.kind
                ));
            }
            _ => {
                let numbers = self.integers()?.into_iter();
                return Ok(numbers.map(|number| number.to_string()).collect());
            }
        };
        let encoded: Vec<Option<String>> = encoded;
        let named = encoded.into_iter().enumerate().map(|(row, text)| match text {
            None => Err(format!("row {row} is no text of type {}", self.kind)),
            Some(text) if text.trim().is_empty() => {
                Err(format!("row {row} is empty, expected a label in each row"))
            }
            Some(text) => Ok(text),
        });
        named.collect()
    }

    /// The array as integers, in the order of its rows.
    pub(crate) fn integers(&self) -> Result<Vec<i128>, String> {
        let values: Vec<i128> = match &self.kind[1..] {
            "i1" => self.values(|bytes| i8::from_le_bytes(bytes).into()),
            "i2" => self.values(|bytes| i16::from_le_bytes(bytes).into()),
            "i4" => self.values(|bytes| i32::from_le_bytes(bytes).into()),
            "i8" => self.values(|bytes| i64::from_le_bytes(bytes).into()),
            "u1" => self.values(|bytes| u8::from_le_bytes(bytes).into()),
            "u2" => self.values(|bytes| u16::from_le_bytes(bytes).into()),
            "u4" => self.values(|bytes| u32::from_le_bytes(bytes).into()),
            "u8" => self.values(|bytes| u64::from_le_bytes(bytes).into()),
            "b1" => self.values(|[truth]: [u8; 1]| i128::from(truth != 0)),
            _ => return Err(format!("its type is {}, expected integers", self.kind)),
        };
        match self.shape.as_slice() {
            &[rows, columns] => {
                Ok(self.laid_out(rows, columns, values)?.into_raw_vec_and_offset().0)
            }
            _ => Ok(values),
        }
    }

    fn values<const N: usize, T>(&self, number: impl Fn([u8; N]) -> T) -> Vec<T> {
        let big_endian = self.kind.starts_with('>');
        let (chunks, _) = self.data.as_chunks::<N>();
        let ordered = chunks.iter().map(|&(mut bytes)| {
            if big_endian {
                bytes.reverse();
            }
            number(bytes)
        });
        ordered.collect()
    }

    fn laid_out<T: Clone>(
        &self,
        rows: usize,
        columns: usize,
        values: Vec<T>,
    ) -> Result<Array2<T>, String> {
        let matrix = match self.fortran_order {
            false => Array2::from_shape_vec((rows, columns), values),
            true => Array2::from_shape_vec((columns, rows), values)
                .map(|matrix| matrix.reversed_axes().as_standard_layout().into_owned()),
        };
        matrix.map_err(|error| error.to_string())
    }
}

/// Splits a file into header and values.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is no .npy file: its first bytes differ")?;
    let cut_short = || "the file ends within its header".to_owned();
    let (&[major, _], rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
    let (length, rest) = match major {
        1 => rest
            .split_first_chunk()
            .map(|(&length, rest)| (u32::from(u16::from_le_bytes(length)), rest)),
        2 | 3 => rest.split_first_chunk().map(|(&length, rest)| (u32::from_le_bytes(length), rest)),
        _ => return Err(format!("its format version is {major}, expected 1 to 3")),
    }
    .ok_or_else(cut_short)?;
    let (header, data) = rest.split_at_checked(length as usize).ok_or_else(cut_short)?;
    let header = std::str::from_utf8(header).map_err(|error| format!("its header: {error}"))?;
    Ok((header, data))
}

/// The rest of a Python literal that has not been read.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, with the keys in any
    /// order.
    fn dictionary(mut self) -> Option<(&'a str, bool, Vec<usize>)> {
        let (mut kind, mut fortran_order, mut shape) = (None, None, None);
        self.sign('{')?;
        while self.sign('}').is_none() {
            let key = self.text()?;
            self.sign(':')?;
            match key {
                "descr" => kind = Some(self.text()?),
                "fortran_order" => fortran_order = Some(self.truth()?),
                "shape" => shape = Some(self.tuple()?),
                _ => return None,
            }
            if self.sign(',').is_none() {
                self.sign('}')?;
                break;
            }
        }
        self.0.trim().is_empty().then_some((kind?, fortran_order?, shape?))
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(sign)?;
        Some(())
    }

    fn text(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (text, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        Some(text)
    }

    fn truth(&mut self) -> Option<bool> {
        let text = self.0.trim_start();
        let (truth, rest) = match text.strip_prefix("True") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("False")?),
        };
        self.0 = rest;
        Some(truth)
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        let mut sides = Vec::new();
        self.sign('(')?;
        while self.sign(')').is_none() {
            let text = self.0.trim_start();
            let end = text.find(|sign: char| !sign.is_ascii_digit())?;
            sides.push(text[..end].parse().ok()?);
            // Python 2 wrote long integers with an L.
            self.0 = text[end..].trim_start_matches('L');
            if self.sign(',').is_none() {
                self.sign(')')?;
                break;
            }
        }
        Some(sides)
    }
}

/// The content of a file of f32 in C order.
pub(crate) fn write(matrix: ArrayView2<f32>) -> Vec<u8> {
    let (rows, columns) = matrix.dim();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let before = MAGIC.len() + 4;
    let start = (before + header.len() + 1).next_multiple_of(ALIGNMENT);
    header.extend(std::iter::repeat_n(' ', start - before - header.len() - 1));
    header.push('\n');

    let mut bytes = Vec::with_capacity(start + 4 * matrix.len());
    bytes.extend(MAGIC);
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(matrix.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// A file of version 1 or 2 with this header and this data.
    fn file(major: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let length = header.len() as u32;
        let length = &length.to_le_bytes()[..if major == 1 { 2 } else { 4 }];
        [MAGIC, &[major, 0], length, header.as_bytes(), data].concat()
    }

    #[test]
    fn there_and_back() {
        let matrix = array![[1.0_f32, -2.5, f32::MAX], [0.0, -0.0, 1e-40]];
        let bytes = write(matrix.view());
        assert_eq!((bytes.len() - 24) % ALIGNMENT, 0);
        let npy = Npy::parse(&bytes).unwrap();
        assert_eq!(npy.matrix().unwrap().0, matrix);
        let nothing = Array2::zeros((0, 3));
        assert_eq!(Npy::parse(&write(nothing.view())).unwrap().matrix().unwrap().0, nothing);
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let ones = [1_u8, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0];
        for (major, header, expected) in [
            (1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }   \n", [1, 2, 3]),
            (2, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }\n", [1, 3, 5]),
            (3, "{\"shape\":(2L,3L),\"fortran_order\":False,\"descr\":\"<u2\"}", [1, 2, 3]),
        ] {
            let bytes = file(major, header, &ones);
            let npy = Npy::parse(&bytes).unwrap();
            assert_eq!(npy.integers().unwrap()[..3], expected, "{header}");
            assert!(npy.matrix().unwrap_err().contains("expected f16, f32 or f64"));
        }
        let header = "{'descr': '>i4', 'fortran_order': False, 'shape': (1,), }";
        let bytes = file(1, header, &[255, 255, 255, 254]);
        assert_eq!(Npy::parse(&bytes).unwrap().integers().unwrap(), [-2]);
        let header = "{'descr': '>f8', 'fortran_order': True, 'shape': (1, 2)}";
        let bytes = file(1, header, &[1.5_f64.to_be_bytes(), 2.5_f64.to_be_bytes()].concat());
        assert_eq!(Npy::parse(&bytes).unwrap().matrix().unwrap().0, array![[1.5, 2.5]]);
    }

    #[test]
    fn claims_are_checked_before_they_are_believed() {
        let with = |kind: &str, shape: &str| {
            format!("{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}")
        };
        for (header, expected) in [
            (with("'<f4'", "(1000000000000000000, 128)"), "more than any memory has"),
            (with("'<f4'", "(1000000000000000, 16)"), "takes 64000000000000000 bytes"),
            (with("'<f4'", "(1, 2)"), "takes 8 bytes, the file holds 4"),
            (with("'<f4'", "(18446744073709551616,)"), "expected descr"),
            (with("'|O'", "(1,)"), "its type is |O"),
            (with("[('a', '<f4')]", "(1,)"), "expected descr"),
            (with("''", "(1,)"), "expected numbers"),
            (with("'é4'", "(1,)"), "expected numbers"),
            ("((((((((((((((((((((((".to_owned(), "expected descr"),
        ] {
            let error = Npy::parse(&file(2, &header, &[0; 4])).err().unwrap();
            assert!(error.contains(expected), "{header}: {error}");
        }
        for bytes in [&b""[..], b"\x93NUM", b"\x93NUMPY", b"\x93NUMPY\x01\0\xff\xff{", MAGIC] {
            assert!(Npy::parse(bytes).is_err());
        }
        assert!(Npy::parse(&file(9, "{}", &[])).err().unwrap().contains("version is 9"));
    }

    #[test]
    fn texts_are_read_as_numpy_writes_them() {
        let of = |kind: &str, rows: usize, data: &[u8]| {
            let header =
                format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows},), }}");
            let bytes = file(1, &header, data);
            Npy::parse(&bytes).and_then(|npy| npy.texts())
        };
        let unicode: Vec<u8> =
            "annあ\0\0".chars().flat_map(|sign| (sign as u32).to_le_bytes()).collect();
        assert_eq!(of("<U3", 2, &unicode), Ok(vec!["ann".to_owned(), "あ".to_owned()]));
        let unicode: Vec<u8> = "bo".chars().flat_map(|sign| (sign as u32).to_be_bytes()).collect();
        assert_eq!(of(">U2", 1, &unicode), Ok(vec!["bo".to_owned()]));
        assert_eq!(of("|S3", 2, b"annbo\0"), Ok(vec!["ann".to_owned(), "bo".to_owned()]));
        assert_eq!(of("|b1", 2, &[1, 0]), Ok(vec!["1".to_owned(), "0".to_owned()]));
        for (kind, data, expected) in [
            ("|S2", &b"\xff\xffok"[..], "row 0 is no text"),
            ("|S2", b"ok\0\0", "row 1 is empty"),
            ("<U1", &[0, 0, 0, 255, 65, 0, 0, 0], "row 0 is no text"),
            ("<f4", &[0; 8], "labels.astype(int)"),
            ("|O", b"", "objects of Python"),
            ("<M8[ns]", &[0; 16], "expected numbers"),
        ] {
            let reason = of(kind, 2, data).unwrap_err();
            assert!(reason.contains(expected), "{kind}: {reason}");
        }
    }

    #[test]
    fn numbers_beyond_single_precision_are_told_apart_from_infinity() {
        let numbers = [1.0, 1e300, f64::INFINITY, -1e39];
        let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 2), }";
        let bytes = file(1, header, &data);
        let (matrix, beyond) = Npy::parse(&bytes).unwrap().matrix().unwrap();
        assert_eq!(matrix, array![[1.0, f32::INFINITY], [f32::INFINITY, f32::NEG_INFINITY]]);
        assert_eq!(beyond.numbers, [(2, 1e300), (3, -1e39)].into());
    }

    #[test]
    fn a_header_is_compared_with_the_file_before_the_file_is_read() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 64), }";
        let bytes = file(1, header, &[]);
        let start = bytes.len() as u64;
        assert_eq!(check_length(&bytes, start + 4 * 64_000_000_000), Ok(()));
        assert!(check_length(&bytes, start + 4).unwrap_err().contains("the file holds 4"));
        assert_eq!(check_length(&bytes[..20], start + 4), Ok(()));
        assert!(check_length(b"no array at all", 1 << 40).is_err());
        assert!(check_length(&bytes[..20], 20).is_err());
    }
}
