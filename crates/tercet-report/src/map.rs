//! The two-dimensional map of embeddings: its data, and their compact form inside the page.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use crate::number::grouped;
use crate::picture::data_uri;

/// Embeddings placed in two dimensions.
///
/// Ten thousand points are drawn smoothly and take about 0.5 MB of the page, without thumbnails;
/// the caller should reduce larger sets.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EmbeddingMap {
    /// The method of projection, e.g. `PCA, 41.2 % of the variance`.
    pub method: String,
    /// The names of the classes, to which points refer by index.
    pub classes: Vec<String>,
    /// The points; those that are not finite or have an invalid class are left out and counted.
    pub points: Vec<MapPoint>,
    /// Pictures of points, shown on hover.
    pub thumbnails: Option<SpriteSheet>,
}

/// An embedding on the map.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MapPoint {
    /// Position to the right, in the same arbitrary unit as `y`.
    pub x: f32,
    /// Position upwards.
    pub y: f32,
    /// Its class, an index into [`EmbeddingMap::classes`].
    pub class: usize,
    /// What identifies the item, usually its file name.
    pub id: String,
    /// Its tile in the sprite sheet, counted row by row from 0.
    pub tile: Option<u32>,
}

/// A sprite sheet: equally large pictures in one image, row by row without gaps.
///
/// The caller chooses its size: 2,000 grey tiles of 28 × 28 take about 0.7 MB as PNG, and 2,000
/// coloured tiles of 48 × 48 about 3 MB as JPEG.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SpriteSheet {
    /// The bytes of a PNG, JPEG or WebP file; any other file is ignored. Left out when serialised.
    #[serde(skip)]
    pub image: Vec<u8>,
    /// Width of a tile in pixels.
    pub width: u32,
    /// Height of a tile in pixels.
    pub height: u32,
    /// Number of tiles in a row.
    pub columns: u32,
}

/// A map in the form that the template shows.
#[derive(Debug)]
pub(crate) struct MapView<'report> {
    pub(crate) method: &'report str,
    pub(crate) points: String,
    pub(crate) classes: String,
    pub(crate) left_out: Option<String>,
    pub(crate) sheet: Option<String>,
    pub(crate) data: Packed<'report>,
}

/// The input of the map's script: numbers as base64 of little-endian integers.
#[derive(Debug, Serialize)]
pub(crate) struct Packed<'report> {
    classes: &'report [String],
    ids: Vec<&'report str>,
    /// 16 bits per position; the longer side of the map spans their whole range.
    x: String,
    y: String,
    /// 32 bits per point: the index of its class.
    class: String,
    /// 32 bits per point: its tile, all bits set if it has none.
    tile: String,
    /// Width, height and columns of the sprite sheet.
    sheet: Option<[u32; 3]>,
}

impl<'report> MapView<'report> {
    /// `None` if no point can be drawn.
    pub(crate) fn of(map: &'report EmbeddingMap) -> Option<Self> {
        let drawn: Vec<&MapPoint> = map
            .points
            .iter()
            .filter(|point| {
                point.x.is_finite() && point.y.is_finite() && point.class < map.classes.len()
            })
            .collect();
        let (first, rest) = drawn.split_first()?;
        let (mut low, mut high) = ([first.x, first.y], [first.x, first.y]);
        for point in rest {
            low = [low[0].min(point.x), low[1].min(point.y)];
            high = [high[0].max(point.x), high[1].max(point.y)];
        }
        let spans = [0, 1].map(|axis| f64::from(high[axis]) - f64::from(low[axis]));
        let span = spans[0].max(spans[1]);
        let place = |value: f32, low: f32| -> u16 {
            let share = if span > 0.0 { (f64::from(value) - f64::from(low)) / span } else { 0.5 };
            (share * f64::from(u16::MAX)).round() as u16
        };
        let sheet = map
            .thumbnails
            .as_ref()
            .filter(|sheet| sheet.width > 0 && sheet.height > 0 && sheet.columns > 0);
        let uri = sheet.and_then(|sheet| data_uri(&sheet.image));
        let mut used = vec![false; map.classes.len()];
        for point in &drawn {
            used[point.class] = true;
        }
        Some(Self {
            method: map.method.trim(),
            points: grouped(drawn.len() as f64),
            classes: grouped(used.into_iter().filter(|used| *used).count() as f64),
            left_out: Some(map.points.len() - drawn.len())
                .filter(|count| *count > 0)
                .map(|count| grouped(count as f64)),
            data: Packed {
                classes: &map.classes,
                ids: drawn.iter().map(|point| point.id.as_str()).collect(),
                x: packed(&drawn, |point| place(point.x, low[0]).to_le_bytes()),
                y: packed(&drawn, |point| place(point.y, low[1]).to_le_bytes()),
                class: packed(&drawn, |point| (point.class as u32).to_le_bytes()),
                tile: packed(&drawn, |point| point.tile.unwrap_or(u32::MAX).to_le_bytes()),
                sheet: uri
                    .as_ref()
                    .and(sheet)
                    .map(|sheet| [sheet.width, sheet.height, sheet.columns]),
            },
            sheet: uri,
        })
    }
}

fn packed<const BYTES: usize>(
    points: &[&MapPoint],
    number: impl Fn(&MapPoint) -> [u8; BYTES],
) -> String {
    STANDARD.encode(points.iter().flat_map(|point| number(point)).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32, class: usize) -> MapPoint {
        MapPoint { x, y, class, ..MapPoint::default() }
    }

    fn numbers(text: &str) -> Vec<u16> {
        let bytes = STANDARD.decode(text).unwrap();
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn both_axes_keep_one_scale() {
        let map = EmbeddingMap {
            classes: vec!["a".into(), "b".into(), "never".into()],
            points: vec![at(-1.0, 3.0, 0), at(3.0, 5.0, 1), at(1.0, f32::NAN, 0), at(0.0, 0.0, 3)],
            ..EmbeddingMap::default()
        };
        let view = MapView::of(&map).unwrap();
        assert_eq!([&view.points, &view.classes], ["2", "2"]);
        assert_eq!(view.left_out.as_deref(), Some("2"));
        assert_eq!(numbers(&view.data.x), [0, 65535]);
        assert_eq!(numbers(&view.data.y), [0, 32768]);
    }

    #[test]
    fn nothing_to_draw_is_no_map() {
        assert!(MapView::of(&EmbeddingMap::default()).is_none());
        let map = EmbeddingMap { points: vec![at(0.0, 0.0, 0)], ..EmbeddingMap::default() };
        assert!(MapView::of(&map).is_none());
    }

    #[test]
    fn one_place_for_all_is_drawn() {
        let map = EmbeddingMap {
            classes: vec!["a".into()],
            points: vec![at(2.0, 2.0, 0), at(2.0, 2.0, 0)],
            ..EmbeddingMap::default()
        };
        assert_eq!(numbers(&MapView::of(&map).unwrap().data.x), [32768, 32768]);
    }
}
