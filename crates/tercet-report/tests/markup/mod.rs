//! What holds for every page, and what to fill one with.

/// Markup where text is meant.
pub(crate) const HOSTILE: &str = "<script>alert(\"1\")</script> & 'two'";

/// A black picture.
pub(crate) fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(28, 28).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Fails unless every element that is opened is closed in order.
pub(crate) fn assert_balanced(page: &str) {
    const VOID: [&str; 4] = ["meta", "img", "input", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let end = tag.find('>').unwrap();
        let (body, after) = (&tag[..end], &tag[end + 1..]);
        rest = after;
        let name = body.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if body.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "before {:.80}", rest);
        } else if !body.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
            if name == "script" || name == "style" {
                rest = &rest[rest.find("</").unwrap()..];
            }
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// Fails where the page would fetch something or shows a number that is none.
pub(crate) fn assert_self_contained(page: &str) {
    for reference in ["http:", "https:", "url(", "@import", "<link", "src=\"/", "href="] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(!page.contains("NaN") && !page.contains(">inf"));
}
