//! Checks what a Parquet file claims to contain before memory is allocated for it.
//!
//! A few bytes can claim any number of values: a run of one dictionary entry, or a page that claims
//! to unpack to 2 GiB. The library allocates what the file claims. Therefore the headers of all
//! pages are read first, and a file is refused if its data would be more than a thousand times as
//! long as the file itself (plus 64 MiB).

use parquet::file::metadata::ParquetMetaData;

/// Data may be this many times as long as their packed form …
const RATIO: u64 = 1000;

/// … plus this many bytes, so that small files may contain anything.
const FLOOR: u64 = 64 << 20;

/// Bytes of text that one batch of rows may take.
const BATCH: u64 = 256 << 20;

/// The largest number of rows that are read at once, which is the library's default.
const ROWS: u64 = 1024;

/// Totals over the pages of some columns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Number of values in all of them, nulls included.
    pub(super) values: u64,
    /// The unpacked length of the largest page: no value is longer.
    page: u64,
}

impl Claims {
    /// The number of rows that can be read at once, however long their texts are.
    pub(super) fn batch_size(&self) -> usize {
        (BATCH / self.page.max(1)).clamp(1, ROWS) as usize
    }
}

/// Reads the headers of the pages of some columns, given by their indices among the leaves of the
/// schema.
///
/// # Errors
/// What is wrong: a column outside the file, a page header that cannot be read, pages that claim
/// more than is plausible, or more values than the column claims.
pub(super) fn check(
    file: &[u8],
    metadata: &ParquetMetaData,
    leaves: impl Fn(usize) -> bool,
) -> Result<Claims, String> {
    let mut claims = Claims::default();
    let (mut unpacked, mut packed) = (0_u64, 0);
    for group in metadata.row_groups() {
        for (_, column) in group.columns().iter().enumerate().filter(|(leaf, _)| leaves(*leaf)) {
            let name = column.column_path().string();
            let refuse = |reason: String| format!("column `{name}`: {reason}");
            let (offset, length) = (
                column.dictionary_page_offset().map_or_else(
                    || column.data_page_offset(),
                    |dictionary| dictionary.min(column.data_page_offset()),
                ),
                column.compressed_size(),
            );
            let chunk = usize::try_from(offset)
                .ok()
                .zip(usize::try_from(length).ok())
                .and_then(|(start, length)| file.get(start..start.checked_add(length)?))
                .ok_or_else(|| refuse("its data lies outside of the file".to_owned()))?;
            let values = u64::try_from(column.num_values())
                .map_err(|_| refuse("it has fewer than no values".to_owned()))?;
            // The sum is over all row groups; a value takes about four bytes once it is unpacked.
            unpacked = values.saturating_mul(4).saturating_add(unpacked);
            packed += chunk.len() as u64;
            within(unpacked, packed).map_err(&refuse)?;
            claims.page = claims.page.max(pages(chunk, values).map_err(&refuse)?);
            claims.values += values;
        }
    }
    Ok(claims)
}

/// The unpacked length of the largest page of a column chunk.
fn pages(chunk: &[u8], values: u64) -> Result<u64, String> {
    let damaged = || "the header of a page is damaged".to_owned();
    let (mut rest, mut found, mut largest) = (chunk, 0_u64, 0);
    while !rest.is_empty() && found < values {
        let mut reader = Compact { bytes: rest };
        let page = reader.page().ok_or_else(damaged)?;
        within(page.unpacked, page.packed)?;
        largest = largest.max(page.unpacked);
        if !page.is_dictionary {
            found = found.saturating_add(page.values);
        }
        let packed = usize::try_from(page.packed).map_err(|_| damaged())?;
        rest = reader.bytes.get(packed..).ok_or_else(damaged)?;
    }
    match found > values {
        true => Err(format!("its pages have {found} values, expected {values}")),
        false => Ok(largest),
    }
}

fn within(claimed: u64, from: u64) -> Result<(), String> {
    match claimed > FLOOR + RATIO.saturating_mul(from) {
        true => Err(format!(
            "{from} bytes claim to hold {claimed}: expected at most {RATIO} times as many and {FLOOR} more"
        )),
        false => Ok(()),
    }
}

/// The values of a page header.
#[derive(Debug, Default)]
struct Page {
    is_dictionary: bool,
    unpacked: u64,
    packed: u64,
    values: u64,
}

/// Thrift's compact protocol, as far as page headers need it.
struct Compact<'a> {
    bytes: &'a [u8],
}

/// The largest depth of nested structures in a header.
const DEPTH: usize = 16;

impl Compact<'_> {
    fn page(&mut self) -> Option<Page> {
        let mut page = Page::default();
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (1, 5) => page.is_dictionary = self.integer()? == 2,
                (2, 5) => page.unpacked = u64::try_from(self.integer()?).ok()?,
                (3, 5) => page.packed = u64::try_from(self.integer()?).ok()?,
                // Fields 5, 7 and 8 are the headers of a data page, of a dictionary, and of a data
                // page of version 2.
                (5 | 7 | 8, 12) => {
                    let mut inner = 0;
                    while let Some(kind) = self.field(&mut inner)? {
                        match (inner, kind) {
                            (1, 5) => page.values = u64::try_from(self.integer()?).ok()?,
                            _ => self.skip(kind, DEPTH)?,
                        }
                    }
                }
                _ => self.skip(kind, DEPTH)?,
            }
        }
        Some(page)
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads the type of the next field and sets `id` to its number; `Some(None)` at the end of the
    /// structure.
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *id = match byte >> 4 {
            0 => self.integer()?,
            step => *id + i64::from(step),
        };
        Some(Some(byte & 15))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            1 | 2 => Some(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.take(8),
            8 => {
                let length = self.varint()?;
                self.take(usize::try_from(length).ok()?)
            }
            9 | 10 => {
                let head = self.byte()?;
                let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (0..size).try_for_each(|_| self.element(head & 15, depth))
            }
            11 => {
                let size = self.varint()?;
                let kinds = if size > 0 { self.byte()? } else { 0 };
                (0..size).try_for_each(|_| {
                    self.element(kinds >> 4, depth)?;
                    self.element(kinds & 15, depth)
                })
            }
            12 => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// An element of a list. A boolean takes a byte in a list, whereas as a field it is part of the
    /// type.
    fn element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if kind <= 2 { self.byte().map(drop) } else { self.skip(kind, depth) }
    }

    fn take(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float32Array, RecordBatch, StringArray};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{Compression, ZstdLevel};
    use parquet::file::metadata::ParquetMetaDataReader;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn file(columns: Vec<(&str, ArrayRef)>, times: usize) -> Vec<u8> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap()))
            .build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        (0..times).for_each(|_| writer.write(&batch).unwrap());
        writer.into_inner().unwrap()
    }

    fn claims(file: &[u8]) -> Result<Claims, String> {
        let bytes = Bytes::copy_from_slice(file);
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
        check(file, &metadata, |_| true)
    }

    #[test]
    fn honest_files_are_what_they_claim() {
        let numbers = Arc::new(Float32Array::from_iter_values((0..5000).map(|i| (i % 977) as f32)));
        let texts = (0..5000).map(|i| format!("class {i}"));
        let texts = Arc::new(StringArray::from_iter_values(texts));
        let file = file(vec![("n", numbers), ("t", texts)], 3);
        let claims = claims(&file).unwrap();
        assert_eq!(claims.values, 30_000);
        assert_eq!(claims.batch_size(), 1024);
        for cut in [file.len() / 4, file.len() / 2] {
            let bytes = Bytes::copy_from_slice(&file);
            let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
            assert!(check(&file[..cut], &metadata, |_| true).is_err());
        }
    }

    #[test]
    fn a_small_file_cannot_claim_a_large_memory() {
        // One number a hundred million times: 400 MB of data in a file of 300 KB.
        let ones: ArrayRef = Arc::new(Float32Array::from(vec![1.0; 10_000_000]));
        let file = file(vec![("n", ones)], 10);
        assert!(file.len() < 330_000, "{}", file.len());
        let reason = claims(&file).unwrap_err();
        assert!(reason.contains("column `n`") && reason.contains("claim to hold"), "{reason}");
    }

    #[test]
    fn a_page_cannot_claim_more_than_it_has() {
        // A data page, 2 GiB unpacked, 4 bytes packed, one value.
        let header = [0x15, 0, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 8, 0x2c, 0x15, 2, 0, 0];
        let chunk = [&header[..], &[0; 4]].concat();
        let reason = pages(&chunk, 1).unwrap_err();
        assert!(reason.contains("2147483647"), "{reason}");
        assert!(pages(&header[..9], 1).unwrap_err().contains("damaged"));
        assert!(pages(&[0xff; 40], 1).is_err());
    }
}
