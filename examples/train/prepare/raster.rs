//! Draws an icon of a set: a square of premultiplied RGBA.

use std::panic::{AssertUnwindSafe, catch_unwind};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use super::icons::Icon;

/// Width and height of a picture, pixels.
pub(super) const SIZE: usize = 96;

/// Samples per pixel along each side: resvg draws larger, and the mean is kept.
const OVERSAMPLING: usize = 2;

/// Bytes of a picture.
pub(super) const BYTES: usize = SIZE * SIZE * 4;

/// Draws an icon into `SIZE` x `SIZE` premultiplied RGBA, centred in its square; or says why that cannot be.
///
/// resvg panics on a few icons with broken geometry: that is caught and told like any other reason.
pub(super) fn rasterise(icon: &Icon) -> Result<Vec<u8>, String> {
    let drawn = catch_unwind(AssertUnwindSafe(|| draw(icon))).map_err(|_| "resvg panics".to_owned())??;
    let pixels = shrink(&drawn);
    if pixels.iter().skip(3).step_by(4).all(|alpha| *alpha < 32) {
        return Err("blank".into());
    }
    Ok(pixels)
}

fn draw(icon: &Icon) -> Result<Vec<u8>, String> {
    let [left, top, width, height] = icon.view;
    let side = width.max(height);
    let large = (SIZE * OVERSAMPLING) as u32;
    // Monochrome icons are drawn with `currentColor`: black.
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{} {} {side} {side}" width="{large}" height="{large}" color="black">{}</svg>"#,
        left - (side - width) / 2.0,
        top - (side - height) / 2.0,
        icon.body
    );
    let tree = Tree::from_str(&svg, &Options::default()).map_err(|error| format!("not read: {error}"))?;
    let mut pixmap = Pixmap::new(large, large).ok_or("no memory for the picture")?;
    resvg::render(&tree, Transform::identity(), &mut pixmap.as_mut());
    Ok(pixmap.take())
}

/// Mean over each block of `OVERSAMPLING` x `OVERSAMPLING` pixels: right for premultiplied colours.
fn shrink(large: &[u8]) -> Vec<u8> {
    let row = SIZE * OVERSAMPLING * 4;
    let samples = (OVERSAMPLING * OVERSAMPLING) as u32;
    let mut small = Vec::with_capacity(BYTES);
    for y in 0..SIZE {
        for x in 0..SIZE {
            for channel in 0..4 {
                let mut sum = samples / 2;
                for dy in 0..OVERSAMPLING {
                    for dx in 0..OVERSAMPLING {
                        let at = (y * OVERSAMPLING + dy) * row + (x * OVERSAMPLING + dx) * 4 + channel;
                        sum += u32::from(large[at]);
                    }
                }
                small.push((sum / samples) as u8);
            }
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use super::super::icons::Icon;
    use super::{BYTES, SIZE, rasterise};

    fn icon(body: &str, view: [f64; 4]) -> Icon {
        Icon { body: body.into(), view }
    }

    fn pixel(pixels: &[u8], x: usize, y: usize) -> [u8; 4] {
        let at = (y * SIZE + x) * 4;
        [pixels[at], pixels[at + 1], pixels[at + 2], pixels[at + 3]]
    }

    #[test]
    fn upright_centred_and_premultiplied() {
        // A tall icon, its upper half red at half opacity, its lower half in the current colour.
        let body =
            r##"<path fill="#f00" opacity=".5" d="M0 0h10v10H0z"/><path fill="currentColor" d="M0 10h10v10H0z"/>"##;
        let pixels = rasterise(&icon(body, [0.0, 0.0, 10.0, 20.0])).unwrap();
        assert_eq!(pixels.len(), BYTES);
        assert_eq!(pixel(&pixels, 10, 48), [0; 4]);
        assert_eq!(pixel(&pixels, 48, 90), [0, 0, 0, 255]);
        let [red, green, blue, alpha] = pixel(&pixels, 48, 10);
        assert!((127..=128).contains(&red) && red == alpha && green == 0 && blue == 0, "{red} {green} {blue} {alpha}");
    }

    #[test]
    fn edges_are_smooth() {
        let pixels = rasterise(&icon(r#"<path d="M0 0h96v48.5H0z"/>"#, [0.0, 0.0, 96.0, 96.0])).unwrap();
        assert_eq!(pixel(&pixels, 5, 47)[3], 255);
        assert!((126..=129).contains(&pixel(&pixels, 5, 48)[3]));
        assert_eq!(pixel(&pixels, 5, 49)[3], 0);
    }

    #[test]
    fn a_reason_for_what_cannot_be_drawn() {
        assert_eq!(rasterise(&icon("<g/>", [0.0, 0.0, 24.0, 24.0])), Err("blank".into()));
        assert!(rasterise(&icon("<g>", [0.0, 0.0, 24.0, 24.0])).unwrap_err().starts_with("not read: "));
    }
}
