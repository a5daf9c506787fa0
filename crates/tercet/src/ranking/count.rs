//! Counts how many items are nearer than each relevant one, without sorting the row.

use crate::simd::vectorised;

/// Up to this number of distinct relevant distances, the row is compared with each of them in turn,
/// which vectorises. With more, the position of every item among them is computed.
pub(super) const COUNTED_IN_TURN: usize = 16;

/// For each of `places`, which increase: how many distances are below it, and how many equal it.
pub(super) fn count(distances: &[f32], places: &[f32]) -> Vec<(usize, usize)> {
    if places.len() <= COUNTED_IN_TURN {
        let counts = places.iter().map(|&place| below_and_equal(distances, place));
        return counts.map(|(below, equal)| (below as usize, equal as usize)).collect();
    }
    let bins = Bins::new(places);
    let mut upto = vec![0_u32; places.len()];
    let mut equal = vec![0_u32; places.len()];
    let farthest = places[places.len() - 1];
    for &distance in distances {
        if distance <= farthest {
            let place = bins.place(distance);
            upto[place] += 1;
            equal[place] += u32::from(distance == places[place]);
        }
    }
    let mut seen = 0;
    upto.iter()
        .zip(equal)
        .map(|(&count, equal)| {
            seen += count as usize;
            (seen - equal as usize, equal as usize)
        })
        .collect()
}

vectorised! {
    /// How many values are below `place`, and how many equal it.
    fn below_and_equal(values: &[f32], place: f32) -> (u32, u32) {
        let (mut below, mut equal) = (0, 0);
        for &value in values {
            below += u32::from(value < place);
            equal += u32::from(value == place);
        }
        (below, equal)
    }
}

/// Increasing places, found by the bin of equal width to which a distance belongs. The bin
/// increases with the distance, with rounding too, so only places of the same bin need a
/// comparison.
struct Bins<'a> {
    places: &'a [f32],
    /// For each bin, how many places are in the bins before; one more entry for the end.
    starts: Vec<u32>,
    least: f32,
    scale: f32,
}

impl<'a> Bins<'a> {
    fn new(places: &'a [f32]) -> Self {
        let count = (4 * places.len()).next_power_of_two();
        let least = places[0];
        let scale = count as f32 / (places[places.len() - 1] - least);
        let mut bins = Self { places, starts: vec![0; count + 1], least, scale };
        for &place in places {
            let bin = bins.bin(place);
            bins.starts[bin + 1] += 1;
        }
        for bin in 0..count {
            bins.starts[bin + 1] += bins.starts[bin];
        }
        bins
    }

    fn bin(&self, distance: f32) -> usize {
        (((distance - self.least) * self.scale) as usize).min(self.starts.len() - 2)
    }

    /// How many places are below `distance`.
    fn place(&self, distance: f32) -> usize {
        let bin = self.bin(distance);
        let (start, end) = (self.starts[bin] as usize, self.starts[bin + 1] as usize);
        start + self.places[start..end].partition_point(|&place| place < distance)
    }
}
