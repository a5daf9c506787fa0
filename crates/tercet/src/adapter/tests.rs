use ndarray::{Array2, array, s};

use super::*;

/// Vectors that look random.
fn vectors(rows: usize, dimensions: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, dimensions), |(i, j)| {
        ((i * 131 + j * 71 + i * i * (j + 3)) % 97) as f32 / 48.5 - 1.0
    })
}

/// A rotation of D dimensions: a product of plane rotations.
fn rotation(dimensions: usize) -> Array2<f32> {
    let mut all = Array2::<f64>::eye(dimensions);
    for i in 0..dimensions - 1 {
        let angle = 0.3 + 0.7 * i as f64;
        let mut plane = Array2::<f64>::eye(dimensions);
        plane[[i, i]] = angle.cos();
        plane[[i + 1, i + 1]] = angle.cos();
        plane[[i, i + 1]] = -angle.sin();
        plane[[i + 1, i]] = angle.sin();
        all = plane.dot(&all);
    }
    all.mapv(|x| x as f32)
}

fn largest_difference(x: &Array2<f32>, y: &Array2<f32>) -> f32 {
    (x - y).iter().fold(0.0, |most, x| most.max(x.abs()))
}

#[test]
fn procrustes_finds_a_rotation() {
    let (old, turn) = (vectors(60, 7), rotation(7));
    let new = old.dot(&turn.t());
    let adapter = Adapter::procrustes(old.slice(s![..20, ..]), new.slice(s![..20, ..])).unwrap();
    assert!((adapter.matrix().mapv(|x| x as f32) - &turn).iter().all(|x| x.abs() < 1e-5));
    // Also on vectors to which it was not fitted.
    assert!(largest_difference(&adapter.apply(old.view()).unwrap(), &new) < 1e-5);
    assert_eq!((adapter.inputs(), adapter.outputs()), (7, 7));
}

#[test]
fn procrustes_is_orthogonal_also_where_the_pairs_do_not_determine_it() {
    // Two pairs in five dimensions, into six; and into a space with noise.
    for (rows, outputs) in [(2, 5), (2, 6), (1, 5), (40, 5)] {
        let (old, new) = (vectors(rows, 5), vectors(rows, outputs).mapv(|x| x * x - 0.3));
        let adapter = Adapter::procrustes(old.view(), new.view()).unwrap();
        let product = adapter.matrix().t().dot(&adapter.matrix());
        for ((i, j), &got) in product.indexed_iter() {
            let expected = f64::from(u8::from(i == j));
            assert!((got - expected).abs() < 1e-10, "{rows} {outputs}: {got} at {i}, {j}");
        }
    }
}

#[test]
fn procrustes_has_the_least_error_of_all_rotations_of_the_plane() {
    let (old, new) = (vectors(30, 2), vectors(30, 2).mapv(|x| x * x * x + 0.1));
    let error = |adapted: &Array2<f32>| (adapted - &new).iter().map(|x| x * x).sum::<f32>();
    let adapter = Adapter::procrustes(old.view(), new.view()).unwrap();
    let best = error(&adapter.apply(old.view()).unwrap());
    for step in 0..720 {
        let angle = step as f32 * std::f32::consts::PI / 360.0;
        for sign in [1.0, -1.0] {
            let turn =
                array![[angle.cos(), -sign * angle.sin()], [angle.sin(), sign * angle.cos()]];
            assert!(best <= error(&old.dot(&turn.t())) + 1e-4, "{angle}");
        }
    }
}

#[test]
fn ridge_of_one_dimension_is_the_closed_form() {
    let (old, new) = (array![[1.0_f32], [2.0], [6.0]], array![[3.0_f32], [4.0], [11.0]]);
    // Means 3 and 6; Sxx = 4 + 1 + 9, Sxy = 6 + 2 + 15.
    for lambda in [0.0, 2.5] {
        let adapter = Adapter::affine(old.view(), new.view(), Some(lambda)).unwrap();
        let slope = 23.0 / (14.0 + lambda);
        assert!((adapter.matrix()[[0, 0]] - slope).abs() < 1e-12);
        let at_zero = adapter.apply(array![[0.0_f32]].view()).unwrap()[[0, 0]];
        assert!((f64::from(at_zero) - (6.0 - 3.0 * slope)).abs() < 1e-6);
        assert_eq!(adapter.kind(), Kind::Affine { lambda });
    }
}

#[test]
fn affine_finds_an_affine_map_of_other_dimensions() {
    let (old, map) = (vectors(80, 4), vectors(3, 4));
    let new = old.dot(&map.t()) + array![0.5_f32, -1.0, 2.0];
    let adapter = Adapter::affine(old.view(), new.view(), None).unwrap();
    assert!(largest_difference(&adapter.apply(old.view()).unwrap(), &new) < 1e-4);
}

#[test]
fn low_rank_finds_the_rank_of_the_map() {
    let old = vectors(90, 6);
    // Two directions of the old vectors are all that the new ones depend on.
    let map = vectors(5, 2).dot(&vectors(6, 2).t());
    let new = old.dot(&map.t());
    let adapter = Adapter::low_rank(old.view(), new.view(), Some(0.0), 1.0 - 1e-9).unwrap();
    assert_eq!(adapter.kind(), Kind::LowRank { rank: 2, lambda: 0.0 });
    assert!(largest_difference(&adapter.apply(old.view()).unwrap(), &new) < 1e-4);
    // All of the variance is the ridge regression itself.
    let noisy = &new + &vectors(90, 5).mapv(|x| x * x);
    let whole = Adapter::low_rank(old.view(), noisy.view(), Some(1.0), 1.0).unwrap();
    let ridge = Adapter::affine(old.view(), noisy.view(), Some(1.0)).unwrap();
    let [whole, ridge] = [whole, ridge].map(|adapter| adapter.apply(old.view()).unwrap());
    assert!(largest_difference(&whole, &ridge) < 1e-5);
}

#[test]
fn cross_validation_prefers_a_penalty_where_there_is_only_noise() {
    let (old, noise) = (vectors(14, 10), vectors(14, 3).mapv(|x| (97.0 * x).sin()));
    let Kind::Affine { lambda } = Adapter::affine(old.view(), noise.view(), None).unwrap().kind()
    else {
        panic!("an affine adapter");
    };
    let exact = old.dot(&vectors(3, 10).t());
    let Kind::Affine { lambda: none } =
        Adapter::affine(old.view(), exact.view(), None).unwrap().kind()
    else {
        panic!("an affine adapter");
    };
    assert!(lambda > 100.0 * none, "{lambda} {none}");
}

#[test]
fn it_survives_a_file() {
    let (old, new) = (vectors(20, 3), vectors(20, 4));
    for adapter in [
        Adapter::procrustes(old.view(), new.view()).unwrap(),
        Adapter::low_rank(old.view(), new.view(), None, 0.9).unwrap(),
    ] {
        let text = serde_json::to_string(&adapter).unwrap();
        let read: Adapter = serde_json::from_str(&text).unwrap();
        assert_eq!(read.kind().name(), adapter.kind().name());
        let [before, after] = [&adapter, &read].map(|it| it.apply(old.view()).unwrap());
        assert!(largest_difference(&before, &after) < 1e-6);
        let short = text.replacen("\"offset\":[", "\"offset\":[0.0,0.0,0.0,0.0,0.0,0.0,0.0,", 1);
        assert!(serde_json::from_str::<Adapter>(&short).is_err());
    }
}

#[test]
fn wrong_questions_are_refused() {
    let (old, new) = (vectors(9, 4), vectors(9, 3));
    let message = |refused: Result<Adapter, Error>| refused.unwrap_err().to_string();
    assert_eq!(
        message(Adapter::procrustes(old.view(), new.view())),
        "dimensions is 3 of the new vectors: expected at least the 4 of the old vectors for an orthogonal map"
    );
    assert_eq!(
        message(Adapter::affine(old.view(), new.slice(s![..8, ..]), None)),
        "an adapter needs an old and a new vector of each of at least 2 items, got 9 old and 8 new vectors"
    );
    assert!(Adapter::affine(old.view(), new.view(), Some(-1.0)).is_err());
    assert!(Adapter::low_rank(old.view(), new.view(), None, 0.0).is_err());
    let mut nan = old.clone();
    nan[[1, 2]] = f32::NAN;
    assert!(matches!(
        Adapter::affine(nan.view(), new.view(), None),
        Err(Error::NotFinite { row: 1, column: 2, .. })
    ));
    let adapter = Adapter::affine(old.view(), new.view(), None).unwrap();
    assert!(matches!(
        adapter.apply(new.view()),
        Err(Error::DimensionMismatch { queries: 3, gallery: 4 })
    ));
}
