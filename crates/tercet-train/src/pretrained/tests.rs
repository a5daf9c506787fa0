//! Compares with torchvision: `tests/pretrained/make.py` wrote the weights and the features that
//! torchvision computes of images.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;

use super::*;
use crate::encoder::{EncoderOptions, InputShape};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pretrained").join(name)
}

fn golden(name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(file("golden.safetensors")).unwrap();
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
        assert_eq!(got.len(), expected.len());
        let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() <= 1e-4 * largest, "{weights}: {got} {expected}");
        }
    }
}

#[test]
fn mobile_bodies_compute_what_their_pytorch_versions_do() {
    for (weights, name, taken) in [
        ("mobilenet-v2.safetensors", "mobilenet-v2", 260),
        ("mobilenet-v2-flat.safetensors", "mobilenet-v2", 260),
        ("efficientnet-lite0.safetensors", "efficientnet-lite0", 245),
    ] {
        let (encoder, done) = put(&file(weights), name, 4).unwrap();
        assert_eq!(done.taken, taken, "{weights}");
        let bytes = fs::read(file("mobile-golden.safetensors")).unwrap();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let numbers = |name: &str| -> (Vec<usize>, Vec<f32>) {
            let tensor = golden.tensor(name).unwrap();
            let (numbers, _) = tensor.data().as_chunks();
            let numbers = numbers.iter().map(|&number| f32::from_le_bytes(number)).collect();
            (tensor.shape().to_vec(), numbers)
        };
        let (shape, images) = numbers("images");
        let images: Tensor<4> = Tensor::from_data(TensorData::new(images, shape), &Device::flex());
        let got = match encoder {
            Encoder::MobileNetV2(network) => network.features(images),
            Encoder::EfficientNetLite0(network) => network.features(images),
            _ => panic!("{name} is another network"),
        };
        let got: Vec<f32> = got.into_data().try_to_vec().unwrap();
        let (_, expected) = numbers(name);
        assert_eq!(got.len(), expected.len());
        let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() <= 1e-4 * largest, "{weights}: {got} {expected}");
        }
    }
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
