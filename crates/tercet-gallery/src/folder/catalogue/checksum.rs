//! Checksums of the rows of the catalogue.

/// CRC-32C of a list of fields. The length of each field is included, so that two lists with the
/// same concatenation differ.
#[derive(Default)]
pub(super) struct Checksum(u32);

impl Checksum {
    pub(super) fn number(&mut self, value: i64) -> &mut Self {
        self.0 = crc32c::crc32c_append(self.0, &value.to_le_bytes());
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.number(value.len() as i64);
        self.0 = crc32c::crc32c_append(self.0, value.as_bytes());
        self
    }

    pub(super) fn value(&self) -> i64 {
        i64::from(self.0)
    }
}
