//! The images of a catalogue as numbers.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ndarray::Array2;
use rayon::prelude::*;

use super::{Augmentation, BadItem, Catalogue, Content, DataError, Preprocessing};

/// Options of [`Pixels::prepare`].
#[derive(Debug, Clone, Copy)]
pub struct PrepareOptions<'a> {
    /// Whether items that cannot be decoded are left out; otherwise they are an error. Default no.
    pub skip_bad: bool,
    /// The most memory for caching decoded items. If not all of them fit, each item is decoded
    /// again whenever it is needed. Default 4 GiB.
    pub cache_limit_bytes: u64,
    /// A flag that another thread sets to stop at the next item. Default none.
    pub interrupted: Option<&'a AtomicBool>,
}

impl Default for PrepareOptions<'_> {
    fn default() -> Self {
        Self { skip_bad: false, cache_limit_bytes: 4 << 30, interrupted: None }
    }
}

/// The items of a catalogue, decoded and preprocessed: N items of C×H×W bytes.
#[derive(Debug, Clone)]
pub struct Pixels {
    catalogue: Catalogue,
    preprocessing: Preprocessing,
    /// The bytes of all items, one after the other, if they fit into memory.
    cache: Option<Vec<u8>>,
}

/// A window of every picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// Whether left and right are exchanged.
    pub flip: bool,
}

/// The largest number of values of a row of [`Pixels::matrix`].
pub const MATRIX_COLUMNS: usize = 1 << 14;

impl Pixels {
    /// Decodes every item once, on all threads, so that a corrupt file is found at once and not
    /// after hours of training.
    ///
    /// `progress` is called from several threads with the number of items that are done and the
    /// number of all items. Returns the pixels and the items that were left out: those of
    /// [`Catalogue::bad`], then the others in catalogue order; without `skip_bad` there are none.
    ///
    /// # Errors
    /// - [`DataError::BadItems`] with the first item that cannot be decoded and the number of
    ///   others, unless `skip_bad` is set;
    /// - [`DataError::NoItems`] if there are no items, [`DataError::AllBad`] if none can be
    ///   decoded;
    /// - [`DataError::Vectors`] if the source has no images;
    /// - [`DataError::Parameter`] if the preprocessing is outside its range;
    /// - [`DataError::Interrupted`] if a stop was requested.
    pub fn prepare(
        catalogue: Catalogue,
        preprocessing: &Preprocessing,
        options: &PrepareOptions<'_>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<(Self, Vec<BadItem>), DataError> {
        preprocessing.check()?;
        if catalogue.items.iter().any(|item| matches!(item.content, Content::Vector(_))) {
            return Err(DataError::Vectors { text: catalogue.source });
        }
        if catalogue.has_texts() {
            return Err(DataError::Texts { text: catalogue.source, expected: "images" });
        }
        let total = catalogue.len();
        let item_len = preprocessing.item_len();
        let bytes = total as u64 * item_len as u64;
        let mut cache = if bytes <= options.cache_limit_bytes {
            let bytes = usize::try_from(bytes)
                .map_err(|_| DataError::TooLarge { items: total, bytes: item_len as u64 })?;
            Some(vec![0_u8; bytes])
        } else {
            None
        };

        let done = AtomicUsize::new(0);
        let read = |item: usize, slot: Option<&mut [u8]>| {
            if is_set(options.interrupted) {
                return None;
            }
            let outcome = catalogue.image(item).and_then(|image| preprocessing.apply(&image));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            match (outcome, slot) {
                (Ok(pixels), Some(slot)) => slot.copy_from_slice(&pixels),
                (Ok(_), None) => {}
                (Err(error), _) => {
                    return Some(BadItem::new(&catalogue.items[item].id, error));
                }
            }
            None
        };
        let outcomes: Vec<Option<BadItem>> = match &mut cache {
            Some(cache) => cache
                .par_chunks_exact_mut(item_len)
                .enumerate()
                .map(|(item, slot)| read(item, Some(slot)))
                .collect(),
            None => (0..total).into_par_iter().map(|item| read(item, None)).collect(),
        };
        if is_set(options.interrupted) {
            return Err(DataError::Interrupted);
        }

        let good: Vec<u32> =
            (0..).zip(&outcomes).filter_map(|(item, bad)| bad.is_none().then_some(item)).collect();
        let mut bad = catalogue.bad.iter().cloned().chain(outcomes.into_iter().flatten());
        if !options.skip_bad
            && let Some(first) = bad.next()
        {
            return Err(DataError::BadItems { first, more: bad.count() });
        }
        let bad: Vec<BadItem> = bad.collect();
        if good.is_empty() {
            return Err(match bad.len() {
                0 => DataError::NoItems { what: "training" },
                _ => DataError::AllBad { first: bad[0].clone(), items: bad.len() },
            });
        }
        if bad.is_empty() {
            let pixels = Self { catalogue, preprocessing: preprocessing.clone(), cache };
            return Ok((pixels, bad));
        }
        if let Some(cache) = &mut cache {
            for (to, &from) in good.iter().enumerate() {
                let from = from as usize * item_len;
                cache.copy_within(from..from + item_len, to * item_len);
            }
            cache.truncate(good.len() * item_len);
        }
        let pixels = Self {
            catalogue: catalogue.select(&good),
            preprocessing: preprocessing.clone(),
            cache,
        };
        Ok((pixels, bad))
    }

    /// The catalogue of the items, without those that were left out.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The preprocessing of the items, with the mean and deviation that [`batch`](Self::batch)
    /// uses.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.catalogue.len()
    }

    /// Whether there are no items; never true after [`prepare`](Self::prepare).
    pub fn is_empty(&self) -> bool {
        self.catalogue.is_empty()
    }

    /// Whether the items are cached in memory; otherwise they are decoded each time.
    pub fn is_cached(&self) -> bool {
        self.cache.is_some()
    }

    /// Bytes of memory that the cached items take.
    pub fn cached_bytes(&self) -> u64 {
        self.cache.as_ref().map_or(0, |_| (self.len() * self.preprocessing.item_len()) as u64)
    }

    /// The pixels of one item, C×H×W bytes.
    ///
    /// # Errors
    /// [`DataError::Undecodable`] if the item is not cached and its file has changed.
    ///
    /// # Panics
    /// If `item` is not smaller than [`len`](Self::len).
    pub fn item(&self, item: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let item_len = self.preprocessing.item_len();
        match &self.cache {
            Some(cache) => Ok(Cow::Borrowed(&cache[item * item_len..(item + 1) * item_len])),
            None => {
                let image = self.catalogue.image(item)?;
                Ok(Cow::Owned(self.preprocessing.apply(&image)?))
            }
        }
    }

    /// Items as the input of an encoder: N×C×H×W values, (pixel / 255 − mean) / deviation, with
    /// mean and deviation of the channel.
    ///
    /// # Errors
    /// The errors of [`item`](Self::item).
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn batch(&self, items: &[u32]) -> Result<Vec<f32>, DataError> {
        let (width, height) = (self.preprocessing.width, self.preprocessing.height);
        let (width, height) = (width as usize, height as usize);
        self.window(items, Window { left: 0, top: 0, width, height, flip: false })
    }

    /// Items as vectors of values from 0 to 1, not standardised: the baseline of an encoder.
    ///
    /// A row has C·H·W values. If these are more than [`MATRIX_COLUMNS`], pictures are first
    /// averaged over squares of f×f pixels, with the smallest f that fits, so that the memory of
    /// the baseline is bounded.
    ///
    /// # Errors
    /// The errors of [`item`](Self::item).
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn matrix(&self, items: &[u32]) -> Result<Array2<f32>, DataError> {
        let Preprocessing { channels, height, width, .. } = self.preprocessing;
        let (channels, height, width) = (channels as usize, height as usize, width as usize);
        let columns = |f: usize| channels * height.div_ceil(f) * width.div_ceil(f);
        let f =
            (1..).find(|&f| columns(f) <= MATRIX_COLUMNS || f >= height.max(width)).unwrap_or(1);
        let shape = (items.len(), columns(f));
        let mut values = vec![0.0_f32; shape.0 * shape.1];
        values.par_chunks_exact_mut(shape.1).zip(items).try_for_each(|(row, &item)| {
            let pixels = self.item(item as usize)?;
            let rows = pixels.chunks_exact(width).enumerate();
            for (line, pixels) in rows {
                let (channel, y) = (line / height, line % height);
                let start = (channel * height.div_ceil(f) + y / f) * width.div_ceil(f);
                let tall = f.min(height - y / f * f);
                for (x, &pixel) in pixels.iter().enumerate() {
                    let wide = f.min(width - x / f * f);
                    row[start + x / f] += f32::from(pixel) / 255.0 / (tall * wide) as f32;
                }
            }
            Ok::<(), DataError>(())
        })?;
        Array2::from_shape_vec(shape, values)
            .map_err(|_| DataError::TooLarge { items: shape.0, bytes: 4 * shape.1 as u64 })
    }

    /// The same window of every item: N×C×h×w values, standardised as by [`batch`](Self::batch).
    ///
    /// # Errors
    /// The errors of [`item`](Self::item).
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len), or the window is not inside the picture.
    pub fn window(&self, items: &[u32], window: Window) -> Result<Vec<f32>, DataError> {
        let (width, height) =
            (self.preprocessing.width as usize, self.preprocessing.height as usize);
        assert!(window.left + window.width <= width && window.top + window.height <= height);
        let tables = self.preprocessing.standardized_values();
        let part = window.width * window.height;
        let item_len = tables.len() * part;
        let mut values = vec![0.0; items.len() * item_len];
        values.par_chunks_exact_mut(item_len).zip(items).try_for_each(|(values, &item)| {
            let pixels = self.item(item as usize)?;
            let planes = values.chunks_exact_mut(part).zip(pixels.chunks_exact(width * height));
            for ((values, pixels), table) in planes.zip(&tables) {
                let lines = pixels.chunks_exact(width).skip(window.top);
                for (values, line) in values.chunks_exact_mut(window.width).zip(lines) {
                    let line = &line[window.left..][..window.width];
                    for (value, &pixel) in values.iter_mut().zip(line) {
                        *value = table[usize::from(pixel)];
                    }
                    if window.flip {
                        values.reverse();
                    }
                }
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// The images of a batch as the input of an encoder, each changed as [`Augmentation`] draws it
    /// for its row from seed and step: N×C×H×W values, standardised as by [`batch`](Self::batch).
    ///
    /// It runs on the calling thread only, so that loader threads leave the other cores to the
    /// encoder.
    ///
    /// # Errors
    /// The errors of [`item`](Self::item).
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn augmented(
        &self,
        items: &[u32],
        augmentation: &Augmentation,
        seed: u64,
        step: u64,
    ) -> Result<Vec<f32>, DataError> {
        let tables = self.preprocessing.standardized_values();
        let item_len = self.preprocessing.item_len();
        let mut values = vec![0.0; items.len() * item_len];
        for ((row, values), &item) in (0..).zip(values.chunks_exact_mut(item_len)).zip(items) {
            let pixels = self.item(item as usize)?;
            let change = augmentation.draw(seed, step, row, &self.preprocessing);
            if !change.is_none() {
                change.write(&pixels, &self.preprocessing, values);
                continue;
            }
            let planes = item_len / tables.len();
            let planes = values.chunks_exact_mut(planes).zip(pixels.chunks_exact(planes));
            for ((values, pixels), table) in planes.zip(&tables) {
                for (value, &pixel) in values.iter_mut().zip(pixels) {
                    *value = table[usize::from(pixel)];
                }
            }
        }
        Ok(values)
    }

    /// Mean and standard deviation of each channel over all pixels of some items, on a scale from 0
    /// to 1. The deviation is at least 1e-3, so that blank pictures can be divided by it.
    ///
    /// The sums are exact integers, so the result does not depend on the order of the items or on
    /// the number of threads.
    ///
    /// # Errors
    /// [`DataError::NoItems`] if no item is given; those of [`item`](Self::item).
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn channel_statistics(&self, items: &[u32]) -> Result<(Vec<f32>, Vec<f32>), DataError> {
        if items.is_empty() {
            return Err(DataError::NoItems { what: "the mean of the pixels" });
        }
        let channels = self.preprocessing.channels as usize;
        let plane = self.preprocessing.item_len() / channels;
        // Sum and sum of squares of each channel; u64 is large enough for 2.8e14 pixels.
        let sums = items
            .par_iter()
            .map(|&item| {
                let pixels = self.item(item as usize)?;
                let sums = pixels.chunks_exact(plane).map(|plane| {
                    plane.iter().fold((0, 0), |(sum, squares), &pixel| {
                        let pixel = u64::from(pixel);
                        (sum + pixel, squares + pixel * pixel)
                    })
                });
                Ok(sums.collect::<Vec<(u64, u64)>>())
            })
            .try_reduce(
                || vec![(0, 0); channels],
                |mut sums, others| {
                    for (sum, other) in sums.iter_mut().zip(others) {
                        *sum = (sum.0 + other.0, sum.1 + other.1);
                    }
                    Ok(sums)
                },
            )?;
        let count = items.len() as u128 * plane as u128;
        Ok(sums
            .into_iter()
            .map(|(sum, squares)| {
                // The subtraction is exact, because it is one of integers.
                let spread = count * u128::from(squares) - u128::from(sum) * u128::from(sum);
                let scale = 255.0 * count as f64;
                let std = (spread as f64).sqrt() / scale;
                ((sum as f64 / scale) as f32, (std as f32).max(1e-3))
            })
            .unzip())
    }

    /// The same items with another mean and deviation of each channel.
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless every channel has a finite mean and a finite deviation above
    /// 0.
    pub fn with_statistics(mut self, mean: Vec<f32>, std: Vec<f32>) -> Result<Self, DataError> {
        self.preprocessing.mean = mean;
        self.preprocessing.std = std;
        self.preprocessing.check()?;
        Ok(self)
    }
}

/// Whether the user requested a stop.
pub(crate) fn is_set(interrupted: Option<&AtomicBool>) -> bool {
    interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};

    use super::*;
    use crate::data::Source;

    fn quiet(_: usize, _: usize) {}

    /// Two classes of two intact pictures of different sizes and formats, and three broken ones.
    fn broken_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("a")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        let noise =
            |x: u32, y: u32| ((x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 9) as u8;
        let colour = RgbImage::from_fn(40, 30, |x, y| Rgb([noise(x, y), noise(y, x), 3]));
        let gray = GrayImage::from_fn(16, 50, |x, y| Luma([noise(x, y)]));
        colour.save(root.join("a/1.jpg")).unwrap();
        gray.save(root.join("a/3.png")).unwrap();
        gray.save(root.join("b/1.bmp")).unwrap();
        colour.save(root.join("b/4.webp")).unwrap();
        cut(&root.join("a/1.jpg"), &root.join("a/2.jpg"));
        cut(&root.join("a/3.png"), &root.join("b/2.png"));
        fs::write(root.join("b/3.png"), "text").unwrap();
        folder
    }

    fn cut(whole: &Path, half: &Path) {
        let bytes = fs::read(whole).unwrap();
        fs::write(half, &bytes[..bytes.len() / 2]).unwrap();
    }

    fn catalogue(folder: &tempfile::TempDir) -> Catalogue {
        Source::Folder(folder.path().into()).catalogue().unwrap()
    }

    #[test]
    fn the_first_bad_item_is_named_and_the_others_counted() {
        let folder = broken_folder();
        let error = Pixels::prepare(
            catalogue(&folder),
            &Preprocessing::new(8, 8, 3),
            &PrepareOptions::default(),
            &quiet,
        )
        .unwrap_err();
        let message = error.to_string();
        for part in ["a/2.jpg", "truncated", "and 2 more bad items", "`--skip-bad`"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn bad_items_are_left_out_on_request_cached_or_not() {
        let folder = broken_folder();
        let preprocessing = Preprocessing::new(8, 8, 3);
        let prepare = |cache_limit_bytes| {
            let options =
                PrepareOptions { skip_bad: true, cache_limit_bytes, ..PrepareOptions::default() };
            Pixels::prepare(catalogue(&folder), &preprocessing, &options, &quiet).unwrap()
        };
        let (cached, bad) = prepare(1 << 20);
        let ids: Vec<&str> = bad.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["a/2.jpg", "b/2.png", "b/3.png"]);
        let ids: Vec<&str> = cached.catalogue().items.iter().map(|item| &*item.id).collect();
        assert_eq!(ids, ["a/1.jpg", "a/3.png", "b/1.bmp", "b/4.webp"]);
        assert_eq!(cached.catalogue().labels.classes(), [0, 0, 1, 1]);

        let (uncached, same) = prepare(100);
        assert_eq!(bad, same);
        assert!(cached.is_cached() && !uncached.is_cached());
        for item in 0..4 {
            let pixels = cached.item(item).unwrap();
            assert_eq!(pixels, uncached.item(item).unwrap());
            let image = cached.catalogue().image(item).unwrap();
            assert_eq!(pixels, preprocessing.apply(&image).unwrap());
        }
        // The same grey picture, as PNG and as BMP.
        assert_eq!(cached.item(1).unwrap(), cached.item(2).unwrap());
        assert_eq!(cached.batch(&[3, 0]).unwrap(), uncached.batch(&[3, 0]).unwrap());

        fs::remove_file(folder.path().join("b/4.webp")).unwrap();
        assert!(cached.batch(&[3]).is_ok());
        let message = uncached.batch(&[3]).unwrap_err().to_string();
        assert!(message.contains("4.webp"), "{message}");
    }

    #[test]
    fn nothing_readable_is_an_error_even_when_skipping() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/1.png"), "").unwrap();
        let options = PrepareOptions { skip_bad: true, ..PrepareOptions::default() };
        let preprocessing = Preprocessing::new(8, 8, 3);
        let message = Pixels::prepare(catalogue(&folder), &preprocessing, &options, &quiet)
            .unwrap_err()
            .to_string();
        assert!(message.contains("a/1.png") && message.contains("empty"), "{message}");
        let none = catalogue(&folder).select(&[]);
        assert!(Pixels::prepare(none, &preprocessing, &options, &quiet).is_err());
    }

    #[test]
    fn a_window_is_a_part_and_may_be_mirrored() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("class")).unwrap();
        let image = RgbImage::from_fn(4, 3, |x, y| image::Rgb([10 * y as u8 + x as u8, 100, 0]));
        image.save(folder.path().join("class/1.png")).unwrap();
        let catalogue = catalogue(&folder);
        let (pixels, _) = Pixels::prepare(
            catalogue,
            &Preprocessing::new(4, 3, 3),
            &PrepareOptions::default(),
            &quiet,
        )
        .unwrap();
        let window = Window { left: 1, top: 1, width: 2, height: 2, flip: true };
        let values = pixels.window(&[0], window).unwrap();
        let bytes: Vec<u8> = values.iter().map(|value| (255.0 * value).round() as u8).collect();
        assert_eq!(bytes, [12, 11, 22, 21, 100, 100, 100, 100, 0, 0, 0, 0]);
    }

    #[test]
    fn large_pictures_are_averaged_for_the_baseline() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        // 140×140×3 values exceed the limit; averaged to 70×70×3 they do not, and the stripes
        // disappear.
        RgbImage::from_fn(140, 140, |x, _| Rgb([if x % 2 == 0 { 255 } else { 0 }, 255, 0]))
            .save_with_format(folder.path().join("a/1.png"), ImageFormat::Png)
            .unwrap();
        let (pixels, _) = Pixels::prepare(
            catalogue(&folder),
            &Preprocessing::new(140, 140, 3),
            &PrepareOptions::default(),
            &|_, _| {},
        )
        .unwrap();
        let matrix = pixels.matrix(&[0]).unwrap();
        assert_eq!(matrix.dim(), (1, 3 * 70 * 70));
        for (column, &value) in matrix.iter().enumerate() {
            assert!((value - [0.5, 1.0, 0.0][column / (70 * 70)]).abs() < 1e-6);
        }
    }

    #[test]
    fn values_and_statistics() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        for (name, left, right) in [("1.png", 0, 255), ("2.png", 51, 102)] {
            RgbImage::from_fn(2, 1, |x, _| Rgb([if x == 0 { left } else { right }, 51, 0]))
                .save_with_format(folder.path().join("a").join(name), ImageFormat::Png)
                .unwrap();
        }
        let calls = AtomicUsize::new(0);
        let (pixels, bad) = Pixels::prepare(
            catalogue(&folder),
            &Preprocessing::new(2, 1, 3),
            &PrepareOptions::default(),
            &|done, total| {
                assert!((1..=2).contains(&done) && total == 2);
                calls.fetch_add(1, Ordering::Relaxed);
            },
        )
        .unwrap();
        assert!(bad.is_empty());
        assert_eq!(calls.into_inner(), 2);
        let matrix = pixels.matrix(&[1]).unwrap();
        assert_eq!(matrix.as_slice().unwrap(), [0.2, 0.4, 0.2, 0.2, 0.0, 0.0]);

        let (mean, std) = pixels.channel_statistics(&[0, 1]).unwrap();
        assert_eq!(mean, [0.4, 0.2, 0.0]);
        let variance =
            [0.0_f64, 1.0, 0.2, 0.4].map(|v| (v - 0.4).powi(2)).iter().sum::<f64>() / 4.0;
        assert!((f64::from(std[0]) - variance.sqrt()).abs() < 1e-7);
        assert_eq!(std[1..], [1e-3, 1e-3]);
        assert!(pixels.channel_statistics(&[]).is_err());

        let pixels = pixels.with_statistics(vec![0.5, 0.2, 0.0], vec![0.5, 1.0, 2.0]).unwrap();
        assert_eq!(pixels.batch(&[0]).unwrap(), [-1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(pixels.with_statistics(vec![0.0], vec![1.0]).is_err());
    }

    #[test]
    fn all_glyphs_are_prepared_and_an_interrupt_stops_that() {
        let source = Source::Glyphs;
        let preprocessing = Preprocessing::new(28, 28, 1);
        let flag = AtomicBool::new(false);
        let options = PrepareOptions { interrupted: Some(&flag), ..PrepareOptions::default() };
        let catalogue = source.catalogue().unwrap();
        let (pixels, _) =
            Pixels::prepare(catalogue.clone(), &preprocessing, &options, &quiet).unwrap();
        assert_eq!(pixels.len(), 10_500);
        let stop = |done: usize, _: usize| flag.store(done > 10, Ordering::Relaxed);
        let error = Pixels::prepare(catalogue, &preprocessing, &options, &stop).unwrap_err();
        assert!(matches!(error, DataError::Interrupted));
    }
}
