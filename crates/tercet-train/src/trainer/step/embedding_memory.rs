//! Embeddings of past steps as further positives and negatives ([`tercet::Memory`]): when they are
//! stored, and their format in a checkpoint.

use tercet::{Labels, Memory};

use super::{Frozen, Seen};
use crate::embeddings::{Embeddings, Format};
use crate::trainer::{TrainError, Trainer};

impl Trainer<'_> {
    /// The embeddings in the memory except those of the given items; none if there is no memory
    /// yet.
    pub(in crate::trainer) fn remembered(&self, items: &[u32]) -> Option<Frozen> {
        let memory = self.learned.memory.as_ref()?;
        let (vectors, labels) = memory.without(&numbers(items));
        Some(Frozen { vectors, labels })
    }

    /// Stores the embeddings of a step, once the step is reached at which the memory starts.
    pub(in crate::trainer) fn remember(&mut self, seen: &Seen) -> Result<(), TrainError> {
        if self.setup.config.memory == 0 || self.state.step < self.setup.config.memory_start() {
            return Ok(());
        }
        let labels = self.setup.prepared.labels(&seen.items);
        let (capacity, dimensions) = (self.setup.config.memory, seen.embeddings.ncols());
        let memory = self.learned.memory.get_or_insert_with(|| Memory::new(capacity, dimensions));
        Ok(memory.push(seen.embeddings.view(), &labels, &numbers(&seen.items))?)
    }
}

/// The numbers by which a memory distinguishes items.
fn numbers(items: &[u32]) -> Vec<u64> {
    items.iter().map(|&item| item.into()).collect()
}

/// A memory as a file of embeddings; its ids are the numbers of the items.
pub(in crate::trainer) fn pack(memory: &Memory) -> Result<Vec<u8>, String> {
    let (vectors, labels, items) = memory.entries();
    let names = labels.classes().iter().map(|&class| labels.name(class).to_owned()).collect();
    let ids = items.iter().map(u64::to_string).collect();
    let embeddings = Embeddings { vectors, labels: Some(names), ids: Some(ids), model: None };
    embeddings.to_bytes(Format::Safetensors)
}

/// Reads the memory from a file that [`pack`] wrote.
pub(in crate::trainer) fn unpack(bytes: Vec<u8>, capacity: usize) -> Result<Memory, String> {
    let Embeddings { vectors, labels: Some(labels), ids: Some(ids), .. } =
        Embeddings::from_bytes(bytes, Format::Safetensors)?
    else {
        return Err("the memory has no labels or no items".to_owned());
    };
    let items: Result<Vec<u64>, _> = ids.iter().map(|id| id.parse()).collect();
    let items = items.map_err(|error| format!("an item of the memory: {error}"))?;
    let mut memory = Memory::new(capacity, vectors.ncols());
    let pushed = memory.push(vectors.view(), &Labels::from_iter(labels), &items);
    pushed.map(|()| memory).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn a_memory_goes_there_and_back() {
        let mut memory = Memory::new(3, 2);
        let vectors =
            Array2::from_shape_fn((4, 2), |(row, column)| (row as f32).sin() + column as f32);
        let labels = Labels::from_iter(["ann", "bob", "ann", "cid"]);
        memory.push(vectors.view(), &labels, &[7, 9, 8, 1 << 31]).unwrap();
        let again = unpack(pack(&memory).unwrap(), 3).unwrap();
        assert_eq!(again.entries(), memory.entries());
        assert!(unpack(b"no file".to_vec(), 3).is_err());
    }
}
