//! One-shot classification: is the nearest of one example per class of the right class?
//!
//! [`OneShot`] evaluates given runs, such as those of Lake's Omniglot challenge, with embeddings or
//! with any distances. [`Episodes`] draws N-way K-shot tasks from labelled embeddings.
//! [`hausdorff`] is the baseline that needs no training.

use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::named;
use crate::{Error, Labels, Metric};

/// One run: the examples, and the items that are classified by them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Row and class of each training item.
    pub training: Vec<(u32, u32)>,
    /// Row and true class of each test item.
    pub test: Vec<(u32, u32)>,
}

/// The error of classifying each test item by its nearest training item.
///
/// Each test item is classified separately: two may get the same class. If t training items are the
/// nearest at the same distance, r of them of the right class, the error is its expected value
/// 1 − r/t. As in Lake, Salakhutdinov & Tenenbaum (Science 2015), `error` is the mean over runs,
/// each run with the same weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneShot {
    /// Mean of the errors of the runs.
    pub error: f64,
    /// Share of the test items that are classified wrongly, by run.
    pub runs: Vec<f64>,
    /// The number of test items of all runs.
    pub trials: u64,
}

impl OneShot {
    /// Evaluates runs whose items are rows of `embeddings`.
    ///
    /// # Shapes
    /// - embeddings: N×D
    ///
    /// # Errors
    /// No runs; a run without training or test items; a row not below N; vectors that are not
    /// finite, too long, or without dimensions.
    ///
    /// ```
    /// use ndarray::array;
    /// use tercet::Metric;
    /// use tercet::one_shot::{OneShot, Run};
    /// let embeddings = array![[0.0_f32], [5.0], [1.0], [2.0]];
    /// let run = Run { training: vec![(0, 7), (1, 8)], test: vec![(2, 7), (3, 8)] };
    /// let judged = OneShot::judge(embeddings.view(), &[run], Metric::default())?;
    /// assert_eq!((judged.error, judged.trials), (0.5, 2));
    /// # Ok::<(), tercet::Error>(())
    /// ```
    pub fn judge(embeddings: ArrayView2<f32>, runs: &[Run], metric: Metric) -> Result<Self, Error> {
        let rows = |items: &[(u32, u32)]| -> Result<Array2<f32>, Error> {
            let outside = items.iter().find(|(row, _)| *row as usize >= embeddings.nrows());
            if let Some((row, _)) = outside {
                return Err(Error::parameter(
                    "row",
                    format!("{row} of {} vectors", embeddings.nrows()),
                    "a row below the number of vectors",
                ));
            }
            let rows: Vec<usize> = items.iter().map(|&(row, _)| row as usize).collect();
            Ok(embeddings.select(Axis(0), &rows))
        };
        Self::collect(runs.iter().map(|run| {
            let distances =
                metric.distances(rows(&run.test)?.view(), rows(&run.training)?.view())?;
            Ok((distances, classes(&run.test), classes(&run.training)))
        }))
    }

    /// Evaluates runs with given distances: for each run the distances of its test items to its
    /// training items, and the classes of both.
    ///
    /// # Shapes
    /// - for each run: tests × training distances, tests classes, training classes
    ///
    /// # Errors
    /// No runs; a run without training or test items, with a number of classes that differs from
    /// that of rows or columns, or with a distance that is not a number.
    pub fn from_distances(
        runs: impl IntoIterator<Item = (Array2<f32>, Vec<u32>, Vec<u32>)>,
    ) -> Result<Self, Error> {
        Self::collect(runs.into_iter().map(Ok))
    }

    fn collect(
        runs: impl Iterator<Item = Result<(Array2<f32>, Vec<u32>, Vec<u32>), Error>>,
    ) -> Result<Self, Error> {
        let (mut errors, mut trials) = (Vec::new(), 0);
        for run in runs {
            let (distances, test, training) = run?;
            errors.push(1.0 - accuracy(distances.view(), &test, &training)?);
            trials += test.len() as u64;
        }
        if errors.is_empty() {
            return Err(nothing("a one-shot judgement", "at least one run", "none"));
        }
        Ok(Self { error: errors.iter().sum::<f64>() / errors.len() as f64, runs: errors, trials })
    }
}

fn classes(items: &[(u32, u32)]) -> Vec<u32> {
    items.iter().map(|&(_, class)| class).collect()
}

fn nothing(what: &'static str, expected: &str, got: &str) -> Error {
    Error::NotEnough { what, expected: expected.to_owned(), got: got.to_owned() }
}

/// The expected share of tests whose nearest training item is of their class.
fn accuracy(distances: ArrayView2<f32>, test: &[u32], training: &[u32]) -> Result<f64, Error> {
    for (rows, labels) in [(distances.nrows(), test.len()), (distances.ncols(), training.len())] {
        if rows != labels {
            return Err(Error::LabelCount { rows, labels });
        }
        if rows == 0 {
            let expected = "at least one training item and one test item";
            return Err(nothing("a one-shot run", expected, "none of one kind"));
        }
    }
    let nan = distances.indexed_iter().find(|(_, distance)| distance.is_nan());
    if let Some(((row, column), &value)) = nan {
        return Err(Error::NotFinite { row, column, value });
    }
    let right = |(line, class): (ndarray::ArrayView1<f32>, &u32)| {
        let least = line.iter().copied().fold(f32::INFINITY, f32::min);
        let nearest = line.iter().zip(training).filter(|(distance, _)| **distance == least);
        let (right, tied) = nearest.fold((0_u32, 0_u32), |(right, tied), (_, other)| {
            (right + u32::from(other == class), tied + 1)
        });
        f64::from(right) / f64::from(tied)
    };
    Ok(distances.outer_iter().zip(test).map(right).sum::<f64>() / test.len() as f64)
}

/// What represents a class in an episode of several shots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prototype {
    /// `nearest`: each of its examples; a query is assigned the class of the nearest.
    #[default]
    Nearest,
    /// `mean`: the mean of its examples (Snell et al., "Prototypical Networks", 2017), of unit
    /// vectors if the metric normalises.
    Mean,
}

named!(Prototype, "prototype", [Nearest = "nearest", Mean = "mean"]);

/// The tasks that are drawn. Defaults: 1,000 episodes, 5 ways, 1 shot, 15 queries per class,
/// nearest example, seed 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpisodeOptions {
    /// The number of tasks.
    pub episodes: usize,
    /// N, the number of classes of a task.
    pub ways: usize,
    /// K, the number of examples per class.
    pub shots: usize,
    /// The largest number of queries per class. A class with fewer remaining items gives all of
    /// these.
    pub queries: usize,
    /// What represents a class.
    pub prototype: Prototype,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for EpisodeOptions {
    fn default() -> Self {
        Self {
            episodes: 1_000,
            ways: 5,
            shots: 1,
            queries: 15,
            prototype: Prototype::Nearest,
            seed: 0,
        }
    }
}

/// The accuracy of N-way K-shot tasks drawn at random.
///
/// Each episode draws N of the classes that have more than K items, and of each class K examples
/// and up to `queries` other items. It classifies each query by the nearest prototype; ties count
/// with their expected value. The interval is ±1.96 standard errors of the mean over episodes, as
/// is usual in the field: it says how much the mean would vary with other episodes, not with other
/// classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Episodes {
    /// Mean accuracy over the episodes.
    pub accuracy: f64,
    /// 95 % interval \[low, high\] of that mean.
    pub ci95: [f64; 2],
    /// The number of tasks.
    pub episodes: u64,
    /// The number of classes that could be drawn.
    pub classes: u64,
    /// The number of classes left out because they have no more than K items.
    pub skipped_classes: u64,
}

impl Episodes {
    /// Draws and evaluates episodes.
    ///
    /// The same arguments give the same episodes, for any number of threads.
    ///
    /// # Shapes
    /// - embeddings: N×D; labels: N
    ///
    /// # Errors
    /// A number of labels that differs from that of rows; an option of 0, or fewer than 2 ways;
    /// fewer classes with more than K items than ways; vectors that are not finite, too long, or
    /// without dimensions.
    pub fn judge(
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        metric: Metric,
        options: &EpisodeOptions,
    ) -> Result<Self, Error> {
        if embeddings.nrows() != labels.len() {
            return Err(Error::LabelCount { rows: embeddings.nrows(), labels: labels.len() });
        }
        let EpisodeOptions { episodes, ways, shots, queries, .. } = *options;
        for (parameter, got, least, expected) in [
            ("ways", ways, 2, "at least 2 classes a task"),
            ("shots", shots, 1, "at least 1 example a class"),
            ("queries", queries, 1, "at least 1 query a class"),
            ("episodes", episodes, 1, "at least 1 task"),
        ] {
            if got < least {
                return Err(Error::parameter(parameter, got.to_string(), expected));
            }
        }
        let mut classes = labels.items_by_class();
        let all = classes.len();
        classes.retain(|items| items.len() > shots);
        if classes.len() < ways {
            return Err(Error::NotEnough {
                what: "a task of N ways and K shots",
                expected: format!("at least {ways} classes with more than {shots} items"),
                got: format!("{} of {all}", classes.len()),
            });
        }
        // The vectors are normalised here, so that a mean is that of unit vectors.
        let vectors = crate::distance::Points::new(embeddings, metric)?;
        let accuracies = (0..episodes as u64)
            .into_par_iter()
            .map(|number| {
                let task = Task::draw(&classes, options, number);
                let gather = |items: &[u32]| {
                    Array2::from_shape_fn((items.len(), embeddings.ncols()), |(row, column)| {
                        vectors.row(items[row] as usize)[column]
                    })
                };
                let examples = gather(&task.examples);
                let (prototypes, class): (Array2<f32>, Vec<u32>) = match options.prototype {
                    Prototype::Nearest => (
                        examples,
                        (0..ways as u32).flat_map(|c| std::iter::repeat_n(c, shots)).collect(),
                    ),
                    Prototype::Mean => (means(&examples, shots), (0..ways as u32).collect()),
                };
                let distances =
                    metric.distances(gather(&task.queries).view(), prototypes.view())?;
                accuracy(distances.view(), &task.truth, &class)
            })
            .collect::<Result<Vec<f64>, Error>>()?;
        let count = accuracies.len() as f64;
        let mean = accuracies.iter().sum::<f64>() / count;
        let squares: f64 = accuracies.iter().map(|accuracy| (accuracy - mean).powi(2)).sum();
        let half = match accuracies.len() {
            1 => 0.0,
            _ => 1.96 * (squares / (count - 1.0) / count).sqrt(),
        };
        Ok(Self {
            accuracy: mean,
            ci95: [mean - half, mean + half],
            episodes: episodes as u64,
            classes: classes.len() as u64,
            skipped_classes: (all - classes.len()) as u64,
        })
    }
}

/// The mean of every `shots` rows.
fn means(examples: &Array2<f32>, shots: usize) -> Array2<f32> {
    let ways = examples.nrows() / shots;
    Array2::from_shape_fn((ways, examples.ncols()), |(way, column)| {
        let sum: f64 =
            (0..shots).map(|shot| f64::from(examples[[way * shots + shot, column]])).sum();
        (sum / shots as f64) as f32
    })
}

/// The items of one episode, class by class.
struct Task {
    examples: Vec<u32>,
    queries: Vec<u32>,
    /// The class of each query within the task.
    truth: Vec<u32>,
}

impl Task {
    /// Each episode has its own random stream, so that episodes can be evaluated in any order.
    fn draw(classes: &[Vec<u32>], options: &EpisodeOptions, number: u64) -> Self {
        let mut stream = ChaCha8Rng::seed_from_u64(options.seed);
        stream.set_stream(number);
        let mut order: Vec<u32> = (0..classes.len() as u32).collect();
        let (drawn, _) = order.partial_shuffle(&mut stream, options.ways);
        let mut task = Self { examples: Vec::new(), queries: Vec::new(), truth: Vec::new() };
        for (way, &class) in (0..).zip(&*drawn) {
            let mut items = classes[class as usize].clone();
            let wanted = (options.shots + options.queries).min(items.len());
            let (drawn, _) = items.partial_shuffle(&mut stream, wanted);
            let (examples, queries) = drawn.split_at(options.shots);
            task.examples.extend_from_slice(examples);
            task.queries.extend_from_slice(queries);
            task.truth.extend(std::iter::repeat_n(way, queries.len()));
        }
        task
    }
}

/// The modified Hausdorff distance of two sets of points (Dubuisson & Jain 1994), as in Lake's
/// one-shot demonstration: the mean distance of the points of one set to the nearest point of the
/// other, in the direction in which it is larger.
///
/// Points are not moved: use [`centred`] first if the position of a drawing should not matter. If
/// one set is empty the distance is infinite, if both are empty it is 0. Time is O(n·m).
pub fn hausdorff(left: &[[f64; 2]], right: &[[f64; 2]]) -> f64 {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => 0.0,
        (false, false) => directed(left, right).max(directed(right, left)),
        _ => f64::INFINITY,
    }
}

fn directed(from: &[[f64; 2]], to: &[[f64; 2]]) -> f64 {
    let squared = |x: &[f64; 2], y: &[f64; 2]| (x[0] - y[0]).powi(2) + (x[1] - y[1]).powi(2);
    let nearest =
        |x: &[f64; 2]| to.iter().map(|y| squared(x, y)).fold(f64::INFINITY, f64::min).sqrt();
    from.iter().map(nearest).sum::<f64>() / from.len() as f64
}

/// The points moved so that their mean is the origin.
pub fn centred(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let count = points.len().max(1) as f64;
    let mean = |axis: usize| points.iter().map(|point| point[axis]).sum::<f64>() / count;
    let [x, y] = [mean(0), mean(1)];
    points.iter().map(|point| [point[0] - x, point[1] - y]).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_have_the_same_weight() {
        let near = array![[0.0_f32, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        let far = array![[3.0_f32, 2.0]];
        let judged = OneShot::from_distances([
            (near, vec![4, 5, 4, 5], vec![4, 5]),
            (far, vec![1], vec![1, 2]),
        ])
        .unwrap();
        assert_eq!(judged.runs, [0.25, 1.0]);
        assert_eq!((judged.error, judged.trials), (0.625, 5));
    }

    #[test]
    fn ties_count_by_their_expected_value() {
        let judged = OneShot::from_distances([(
            array![[1.0_f32, 1.0, 1.0, 2.0]],
            vec![3],
            vec![3, 4, 3, 3],
        )])
        .unwrap();
        assert!((judged.error - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn wrong_runs_are_refused() {
        let vectors = array![[0.0_f32], [1.0]];
        let judge = |runs: &[Run]| OneShot::judge(vectors.view(), runs, Metric::default());
        let error = judge(&[]).unwrap_err();
        assert_eq!(error.to_string(), "a one-shot judgement needs at least one run, got none");
        let outside = Run { training: vec![(0, 0)], test: vec![(2, 0)] };
        assert_eq!(
            judge(&[outside]).unwrap_err().to_string(),
            "row is 2 of 2 vectors: expected a row below the number of vectors"
        );
        assert!(judge(&[Run { training: vec![(0, 0)], test: vec![] }]).is_err());
        let nan = OneShot::from_distances([(array![[f32::NAN]], vec![1], vec![1])]);
        assert!(matches!(nan, Err(Error::NotFinite { row: 0, column: 0, .. })));
        let short = OneShot::from_distances([(array![[1.0_f32]], vec![1], vec![1, 2])]);
        assert_eq!(short, Err(Error::LabelCount { rows: 1, labels: 2 }));
    }

    /// Classes on a line, each `spread` wide, at distance 10 from each other.
    fn classes_on_a_line(spread: f32) -> (Array2<f32>, Labels) {
        let labels = Labels::from_iter((0..90).map(|item| item % 9));
        let vectors = Array2::from_shape_fn((90, 2), |(item, column)| {
            let noise = ((item * 37 + column * 11) % 19) as f32 / 19.0 - 0.5;
            spread * noise + if column == 0 { (item % 9) as f32 * 10.0 } else { 0.0 }
        });
        (vectors, labels)
    }

    #[test]
    fn episodes_are_told_apart_and_repeat() {
        for prototype in Prototype::ALL {
            let (vectors, labels) = classes_on_a_line(1.0);
            let options =
                EpisodeOptions { episodes: 50, shots: 2, prototype, ..EpisodeOptions::default() };
            let judge = |vectors: &Array2<f32>, options: &EpisodeOptions| {
                Episodes::judge(vectors.view(), &labels, Metric::default(), options).unwrap()
            };
            let easy = judge(&vectors, &options);
            assert_eq!((easy.accuracy, easy.ci95, easy.classes), (1.0, [1.0, 1.0], 9));
            let (vectors, _) = classes_on_a_line(40.0);
            let hard = judge(&vectors, &options);
            assert!(hard.accuracy < 0.9 && hard.accuracy > 0.2, "{hard:?}");
            assert!(hard.ci95[0] < hard.accuracy && hard.accuracy < hard.ci95[1]);
            assert_eq!(judge(&vectors, &options), hard);
            assert_ne!(judge(&vectors, &EpisodeOptions { seed: 1, ..options }), hard);
        }
    }

    #[test]
    fn a_task_has_no_item_twice() {
        let labels = Labels::from_iter((0..60).map(|item| item % 7));
        let classes = labels.items_by_class();
        let options = EpisodeOptions { ways: 4, shots: 3, queries: 4, ..EpisodeOptions::default() };
        for number in 0..40 {
            let task = Task::draw(&classes, &options, number);
            let mut all = [task.examples.clone(), task.queries.clone()].concat();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 4 * 7);
            let class = |item: u32| labels.classes()[item as usize];
            for (&query, &way) in task.queries.iter().zip(&task.truth) {
                assert_eq!(class(query), class(task.examples[way as usize * 3]));
            }
        }
    }

    #[test]
    fn impossible_tasks_are_refused() {
        let (vectors, labels) = classes_on_a_line(1.0);
        let error = |options: EpisodeOptions| {
            Episodes::judge(vectors.view(), &labels, Metric::default(), &options)
                .unwrap_err()
                .to_string()
        };
        let plain = EpisodeOptions::default();
        assert_eq!(
            error(EpisodeOptions { shots: 10, ..plain }),
            "a task of N ways and K shots needs at least 5 classes with more than 10 items, got 0 of 9"
        );
        assert_eq!(
            error(EpisodeOptions { ways: 1, ..plain }),
            "ways is 1: expected at least 2 classes a task"
        );
    }

    #[test]
    fn the_farther_direction_counts() {
        let line = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]];
        // From the line: 0, 1, 2 to the one point; back: 0.
        assert_eq!(hausdorff(&line, &[[0.0, 0.0]]), 1.0);
        assert_eq!(hausdorff(&[[0.0, 0.0]], &line), 1.0);
        assert_eq!(hausdorff(&[], &[]), 0.0);
        assert_eq!(hausdorff(&[], &line), f64::INFINITY);
        assert_eq!(centred(&line), [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]);
    }

    proptest! {
        #[test]
        fn embeddings_and_their_distances_agree(
            values in prop::collection::vec(-4_i8..4, 24),
            classes in prop::collection::vec(0_u32..3, 12),
        ) {
            let vectors = Array2::from_shape_fn((12, 2), |(r, c)| f32::from(values[r * 2 + c]));
            let items: Vec<(u32, u32)> = (0..).zip(classes.iter().copied()).collect();
            let run = Run { training: items[..7].to_vec(), test: items[7..].to_vec() };
            let judged = OneShot::judge(vectors.view(), &[run], Metric::default()).unwrap();
            // By definition, item by item.
            let squared = |x: usize, y: usize| {
                (0..2).map(|c| (vectors[[x, c]] - vectors[[y, c]]).powi(2)).sum::<f32>()
            };
            let mut wrong = 0.0;
            for test in 7..12 {
                let least = (0..7).map(|t| squared(test, t)).fold(f32::INFINITY, f32::min);
                let tied: Vec<usize> = (0..7).filter(|&t| squared(test, t) == least).collect();
                let missed = tied.iter().filter(|&&t| classes[t] != classes[test]).count();
                wrong += missed as f64 / tied.len() as f64;
            }
            prop_assert!((judged.error - wrong / 5.0).abs() < 1e-12);
        }
    }
}
