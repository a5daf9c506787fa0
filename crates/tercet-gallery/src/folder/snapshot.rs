//! A snapshot: the gallery in the state of one moment, whatever is written afterwards.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::ArrayView2;
use rayon::prelude::*;
use tercet::scan::{self, Block, CodedBlock, Codes, Found, Quantizer};

use super::carried::{Among, CarriedRows};
use super::catalogue::{Catalogue, Graph, Head, Listed, MeasuredCodes, Stamp, State, at};
use super::last_change;
use super::segment::Segment;
use crate::{CarriedItems, Error, Filter, Method, Search};

/// Rows on which a quantizer is trained, spread over the gallery.
const SAMPLE: usize = 4096;

pub(super) struct Snapshot {
    pub(super) head: Head,
    pub(super) state: State,
    /// The identity of the files when they were read, where nothing can be written.
    pub(super) read_only: Option<Stamp>,
    pub(super) parts: Vec<Part>,
    /// A connection that sees the catalogue in the state of the snapshot, locked for each look-up.
    catalogue: Mutex<Catalogue>,
    quantizer: Option<Arc<Learned>>,
    pub(super) codes: Option<MeasuredCodes>,
    pub(super) graph: Option<Graph>,
    /// The vectors that the gallery's model did not compute, if there are any.
    pub(super) carried: Option<CarriedRows>,
    #[cfg(feature = "hnsw")]
    loaded: Option<Arc<super::hnsw::Loaded>>,
    /// For each part, the rows whose distances are computed in addition to the graph: it contains
    /// them but does not find them.
    #[cfg(feature = "hnsw")]
    beside: Vec<Vec<usize>>,
}

/// A segment with the keys of its items.
#[derive(Clone)]
pub(super) struct Part {
    generation: i64,
    pub(super) segment: Arc<Segment>,
    pub(super) live: Arc<Live>,
    codes: Option<Arc<Codes>>,
}

pub(super) struct Live {
    /// The key of each row's item, or 0 for a row that was removed.
    pub(super) keys: Vec<i64>,
    /// One bit per row, set for rows that are not removed; `None` if no row is removed.
    pub(super) bits: Option<Vec<u64>>,
    pub(super) count: usize,
}

struct Learned {
    quantizer: Quantizer,
    /// The number of rows at training time; the quantizer is trained again when there are many
    /// more.
    rows: usize,
}

impl Live {
    fn read(catalogue: &Catalogue, segment: &Segment) -> Result<Self, Error> {
        let places = catalogue.places(segment.extent.number)?;
        let count = places.len();
        let mut keys = vec![0; segment.extent.rows];
        let mut bits = vec![0_u64; segment.extent.rows.div_ceil(64)];
        for (place, key) in places {
            let row = at(place).1;
            let Some(slot) = keys.get_mut(row) else {
                let what = format!("item {key} lies behind the end of its segment, at row {row}");
                return Err(Error::damaged(catalogue.path(), what));
            };
            *slot = key;
            bits[row / 64] |= 1 << (row % 64);
        }
        let all = count == segment.extent.rows;
        Ok(Self { keys, bits: (!all).then_some(bits), count })
    }
}

impl Snapshot {
    /// Reads the current state of the gallery. Data that `before` has read already are not read
    /// again.
    pub(super) fn take(folder: &Path, before: Option<&Self>) -> Result<Self, Error> {
        // Read this first: changes that are committed between the two reads must not appear to be
        // lost.
        let last = last_change::read(folder);
        let catalogue = Catalogue::open(folder, false)?;
        catalogue.freeze()?;
        let head = catalogue.head()?;
        let state = catalogue.state()?;
        last_change::check(folder, last.as_ref(), &state)?;
        // Nothing is reused from another gallery or version, or from another continuation of a backup.
        let before = match before {
            Some(before)
                if before.head.settings == head.settings
                    && catalogue.continues(&before.state)? =>
            {
                Some(before)
            }
            _ => None,
        };
        let dimensions = head.settings.dimensions;
        let listed = catalogue.segments()?;
        let known: HashMap<u32, &Part> = before
            .iter()
            .flat_map(|before| &before.parts)
            .map(|part| (part.segment.extent.number, part))
            .collect();
        let segments: Vec<Arc<Segment>> = listed
            .par_iter()
            .map(|Listed { extent, .. }| match known.get(&extent.number) {
                Some(part) if part.segment.extent == *extent => Ok(part.segment.clone()),
                known => {
                    let before = known.map(|part| &*part.segment);
                    Segment::open(folder, *extent, dimensions, before).map(Arc::new)
                }
            })
            .collect::<Result<_, Error>>()?;
        let mut parts = Vec::with_capacity(listed.len());
        for (listed, segment) in listed.iter().zip(segments) {
            let known = known.get(&listed.extent.number);
            let live = match known {
                Some(part) if part.generation == listed.generation => part.live.clone(),
                _ => Arc::new(Live::read(&catalogue, &segment)?),
            };
            let same = known.filter(|part| Arc::ptr_eq(&part.segment, &segment));
            let codes = same.and_then(|part| part.codes.clone());
            parts.push(Part { generation: listed.generation, segment, live, codes });
        }
        let living: usize = parts.iter().map(|part| part.live.count).sum();
        if living as i64 != head.items {
            let what = format!("{living} items have a vector, expected {}", head.items);
            return Err(Error::damaged(catalogue.path(), what));
        }
        let carried = match catalogue.carried_by()? {
            Some(by) => Some((by, catalogue.carried_places()?)),
            None => None,
        };
        let graph = catalogue.graph()?;
        #[cfg(feature = "hnsw")]
        let loaded = match (&graph, before) {
            (None, _) => None,
            (Some(graph), Some(before)) if before.graph.as_ref() == Some(graph) => {
                before.loaded.clone()
            }
            (Some(graph), _) => {
                Some(Arc::new(super::hnsw::Loaded::open(folder, graph, &head.settings)?))
            }
        };
        #[cfg(feature = "hnsw")]
        let beside = catalogue.beside_graph()?;
        let mut snapshot = Self {
            head,
            state,
            read_only: catalogue.read_only(),
            parts,
            codes: catalogue.codes()?,
            catalogue: Mutex::new(catalogue),
            quantizer: before.and_then(|before| before.quantizer.clone()),
            graph,
            carried: None,
            #[cfg(feature = "hnsw")]
            loaded,
            #[cfg(feature = "hnsw")]
            beside: Vec::new(),
        };
        #[cfg(feature = "hnsw")]
        snapshot.set_beside(&beside);
        snapshot.carried =
            carried.filter(|(_, places)| !places.is_empty()).map(|(by, places)| CarriedRows {
                are_mixed: (places.len() as i64) < snapshot.head.items,
                items: CarriedItems { items: places.len() as u64, by },
                bits: snapshot.bits_of(&places),
            });
        snapshot.encode();
        Ok(snapshot)
    }

    /// Computes the codes of every segment, if the gallery is quantised.
    fn encode(&mut self) {
        let Some(kind) = self.head.settings.quantization else { return };
        let dimensions = self.head.settings.dimensions;
        let rows = self.rows();
        let learned = match self.quantizer.take() {
            Some(learned) if rows <= 2 * learned.rows => learned,
            _ => {
                self.parts.iter_mut().for_each(|part| part.codes = None);
                let step = rows.div_ceil(SAMPLE).max(1);
                let sample: Vec<f32> = self
                    .parts
                    .iter()
                    .flat_map(|part| part.segment.rows().chunks_exact(dimensions))
                    .step_by(step)
                    .flatten()
                    .copied()
                    .collect();
                let quantizer = Quantizer::fit(kind, &sample, dimensions);
                Arc::new(Learned { quantizer, rows })
            }
        };
        self.parts.par_iter_mut().filter(|part| part.codes.is_none()).for_each(|part| {
            part.codes = Some(Arc::new(learned.quantizer.encode(part.segment.rows())));
        });
        self.quantizer = Some(learned);
    }

    pub(super) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.segment.extent.rows).sum()
    }

    pub(super) fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        // The connection only reads, so a panic while it was locked leaves nothing half done.
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nearest rows of each query, by squared distance, and the method that found them. If some
    /// vectors were carried over from an older model, the nearest of these follow those of the others:
    /// their distances must be made comparable before the two are merged.
    pub(super) fn nearest(
        &self,
        queries: ArrayView2<f32>,
        search: &Search,
    ) -> Result<(Vec<Vec<Found>>, Method), Error> {
        if !self.carried.as_ref().is_some_and(|carried| carried.are_mixed) {
            return self.nearest_among(queries, search, Among::All);
        }
        let (mut found, method) = self.nearest_among(queries, search, Among::Computed)?;
        let (carried, _) = self.nearest_among(queries, search, Among::Carried)?;
        found.iter_mut().zip(carried).for_each(|(found, carried)| found.extend(carried));
        Ok((found, method))
    }

    fn nearest_among(
        &self,
        queries: ArrayView2<f32>,
        search: &Search,
        among: Among,
    ) -> Result<(Vec<Vec<Found>>, Method), Error> {
        let mut kept = self.kept(&search.filter)?;
        if let Some(carried) = &self.carried {
            carried.keep(&mut kept, among);
        }
        let blocks = self.blocks(&kept)?;
        #[cfg(feature = "hnsw")]
        if let (false, Some(loaded), Some(graph)) = (search.exact, &self.loaded, &self.graph)
            && self.keeps_many(&kept)
        {
            let found =
                self.nearest_by_graph(queries, search.k, (loaded, graph), &kept, &blocks)?;
            return Ok((found, Method::Hnsw));
        }
        match &self.quantizer {
            Some(learned) if !search.exact => {
                let factor = self.codes.as_ref().map_or(1, |codes| codes.factor);
                let candidates = self.candidates(search.k, factor);
                let found =
                    self.nearest_by_codes(queries, search.k, candidates, learned, &blocks)?;
                Ok((found, Method::Quantized))
            }
            _ => Ok((scan::nearest(queries, &blocks, search.k)?, Method::Exact)),
        }
    }

    /// The number of rows that the codes propose for the `k` nearest.
    pub(super) fn candidates(&self, k: usize, factor: usize) -> usize {
        let kind = self.head.settings.quantization;
        kind.map_or(k, |kind| kind.candidates(k)).saturating_mul(factor)
    }

    /// The nearest rows of each query among the given number of candidates that the codes propose;
    /// `None` without codes.
    pub(super) fn nearest_of_candidates(
        &self,
        queries: ArrayView2<f32>,
        k: usize,
        candidates: usize,
    ) -> Result<Option<Vec<Vec<Found>>>, Error> {
        let Some(learned) = &self.quantizer else { return Ok(None) };
        let kept = self.kept(&Filter::default())?;
        let blocks = self.blocks(&kept)?;
        self.nearest_by_codes(queries, k, candidates, learned, &blocks).map(Some)
    }

    fn nearest_by_codes(
        &self,
        queries: ArrayView2<f32>,
        k: usize,
        candidates: usize,
        learned: &Learned,
        blocks: &[Block],
    ) -> Result<Vec<Vec<Found>>, Error> {
        let pairs = blocks.iter().zip(&self.parts);
        let coded: Vec<CodedBlock> = pairs
            .filter_map(|(&block, part)| Some(CodedBlock { block, codes: part.codes.as_deref()? }))
            .collect();
        Ok(scan::nearest_coded(queries, &coded, &learned.quantizer, k, candidates)?)
    }

    /// Part and row of every item, in the order of their places.
    pub(super) fn living(&self) -> Vec<(usize, usize)> {
        let parts = self.parts.iter().enumerate();
        parts
            .flat_map(|(part, of)| {
                let rows = of.live.keys.iter().enumerate();
                rows.filter(|&(_, &key)| key != 0).map(move |(row, _)| (part, row))
            })
            .collect()
    }

    /// Whether enough rows pass the filter (at least 1 in 20) for a search of the graph to meet
    /// them often. Otherwise it is both exact and faster to compute the distances to all rows that
    /// pass.
    #[cfg(feature = "hnsw")]
    fn keeps_many(&self, kept: &[Option<Vec<u64>>]) -> bool {
        let count = |(part, kept): (&Part, &Option<Vec<u64>>)| match kept {
            None => part.segment.extent.rows,
            Some(bits) => bits.iter().map(|word| word.count_ones() as usize).sum(),
        };
        20 * self.parts.iter().zip(kept).map(count).sum::<usize>() >= self.rows()
    }

    /// The nearest of some rows; each row is given by its part and its index in it.
    #[cfg(feature = "hnsw")]
    pub(super) fn measure(
        &self,
        query: ndarray::ArrayView1<f32>,
        rows: impl Iterator<Item = (usize, usize)>,
        k: usize,
    ) -> Result<Vec<Found>, Error> {
        let kept = vec![None; self.parts.len()];
        let places = rows.map(|(part, row)| (part as u32, row as u32));
        Ok(scan::nearest_among(query, &self.blocks(&kept)?, places, k)?)
    }

    #[cfg(feature = "hnsw")]
    fn set_beside(&mut self, places: &[i64]) {
        let mut beside = vec![Vec::new(); self.parts.len()];
        for (part, row) in places.iter().filter_map(|&place| self.row_at(place)) {
            beside[part].push(row);
        }
        self.beside = beside;
    }

    /// The candidates of the graph among the rows that it contains, together with all rows that
    /// were added later or that it does not find.
    #[cfg(feature = "hnsw")]
    fn nearest_by_graph(
        &self,
        queries: ArrayView2<f32>,
        k: usize,
        (loaded, graph): (&super::hnsw::Loaded, &Graph),
        kept: &[Option<Vec<u64>>],
        blocks: &[Block],
    ) -> Result<Vec<Vec<Found>>, Error> {
        let later: Vec<Option<Vec<u64>>> = self
            .parts
            .iter()
            .zip(kept)
            .zip(&self.beside)
            .map(|((part, kept), beside)| {
                Some(beside_graph(part, kept, graph.seen(part.segment.extent), beside))
            })
            .collect();
        let mut found = scan::nearest(queries, &self.blocks(&later)?, k)?;
        let keeps = |place: i64| match self.row_at(place) {
            Some((part, row)) => {
                kept[part].as_ref().is_none_or(|bits| bits[row / 64] >> (row % 64) & 1 == 1)
            }
            None => false,
        };
        let proposed = loaded.propose(queries, k, keeps)?;
        for ((query, found), proposed) in queries.outer_iter().zip(&mut found).zip(proposed) {
            let places = proposed.into_iter().filter_map(|place| self.row_at(place));
            let places = places.map(|(part, row)| (part as u32, row as u32));
            found.extend(scan::nearest_among(query, blocks, places, k)?);
            found.sort_unstable();
            found.dedup();
            found.truncate(k);
        }
        Ok(found)
    }

    /// Part and row of a place.
    pub(super) fn row_at(&self, place: i64) -> Option<(usize, usize)> {
        let (number, row) = at(place);
        let part =
            self.parts.binary_search_by_key(&number, |part| part.segment.extent.number).ok()?;
        (row < self.parts[part].segment.extent.rows).then_some((part, row))
    }

    fn blocks<'a>(&'a self, kept: &'a [Option<Vec<u64>>]) -> Result<Vec<Block<'a>>, Error> {
        let dimensions = self.head.settings.dimensions;
        let block = |(part, kept): (&'a Part, &'a Option<Vec<u64>>)| {
            let segment = &part.segment;
            let kept = kept.as_deref();
            Ok(Block::new(segment.rows(), &segment.squared_norms, dimensions, kept)?)
        };
        self.parts.iter().zip(kept).map(block).collect()
    }

    /// For each segment, one bit per row that is not removed and passes the filter; `None` where
    /// all rows do.
    fn kept(&self, filter: &Filter) -> Result<Vec<Option<Vec<u64>>>, Error> {
        let mut kept: Vec<Option<Vec<u64>>> =
            self.parts.iter().map(|part| part.live.bits.clone()).collect();
        let catalogue = self.catalogue();
        if !filter.labels.is_empty() {
            let mut places = Vec::new();
            for label in &filter.labels {
                places.extend(catalogue.places_labelled(label)?);
            }
            self.keep_only(&mut kept, &places);
        }
        for (name, values) in &filter.attributes {
            self.keep_only(&mut kept, &catalogue.places_with(name, values.as_slice())?);
        }
        for id in &filter.without {
            let Some((_, place)) = catalogue.find(id)? else { continue };
            let Some((part, row)) = self.row_at(place) else { continue };
            let words = self.parts[part].words();
            kept[part].get_or_insert_with(|| vec![!0; words])[row / 64] &= !(1 << (row % 64));
        }
        Ok(kept)
    }

    /// For each part, the bits of the rows at these places.
    fn bits_of(&self, places: &[i64]) -> Vec<Vec<u64>> {
        let mut bits: Vec<Vec<u64>> = self.parts.iter().map(|part| vec![0; part.words()]).collect();
        for (part, row) in places.iter().filter_map(|&place| self.row_at(place)) {
            bits[part][row / 64] |= 1 << (row % 64);
        }
        bits
    }

    fn keep_only(&self, kept: &mut [Option<Vec<u64>>], places: &[i64]) {
        let wanted = self.bits_of(places);
        for (kept, mut wanted) in kept.iter_mut().zip(wanted) {
            if let Some(kept) = kept {
                wanted.iter_mut().zip(kept).for_each(|(wanted, kept)| *wanted &= *kept);
            }
            *kept = Some(wanted);
        }
    }
}

impl Part {
    /// Number of 64-bit words in a bit set of its rows.
    fn words(&self) -> usize {
        self.segment.extent.rows.div_ceil(64)
    }
}

/// The rows whose distances are computed without the graph: of the rows that pass the filter, those
/// from `first` on, which the graph does not contain, and those of `beside`, which it does not
/// find.
#[cfg(feature = "hnsw")]
fn beside_graph(part: &Part, kept: &Option<Vec<u64>>, first: usize, beside: &[usize]) -> Vec<u64> {
    let kept = kept.clone().unwrap_or_else(|| vec![!0; part.words()]);
    let mut bits = kept.clone();
    bits[..first / 64].fill(0);
    if let Some(word) = bits.get_mut(first / 64) {
        *word &= !0 << (first % 64);
    }
    for row in beside {
        bits[row / 64] |= kept[row / 64] & 1 << (row % 64);
    }
    bits
}
