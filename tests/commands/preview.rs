//! `preview`: what is on the sheet, what is kept off it, and what becomes of a request that cannot be met.

use std::fs;

use image::RgbImage;

use super::place::Place;

fn sheet(place: &Place, name: &str) -> RgbImage {
    image::load_from_memory(&fs::read(place.path(name)).unwrap()).unwrap().to_rgb8()
}

/// Whether a picture of the suite stands on the sheet: a square of its pixels, each drawn two by two.
fn shows(sheet: &RgbImage, picture: &RgbImage) -> bool {
    // The middle of a drawing has its colours; 8 x 8 pixels of it are unlike anything else.
    let part: Vec<[u8; 3]> = (0..64).map(|at| picture.get_pixel(36 + at % 8, 36 + at / 8).0).collect();
    let fits = |left: u32, top: u32| {
        part.iter().zip(0..64).all(|(pixel, at)| sheet.get_pixel(left + 2 * (at % 8), top + 2 * (at / 8)).0 == *pixel)
    };
    (0..sheet.height() - 16).any(|top| (0..sheet.width() - 16).any(|left| fits(left, top)))
}

#[test]
fn a_sheet_shows_the_pixels_that_the_model_is_shown() {
    let place = Place::new();
    let said = place.say(&["preview", "suite.yaml", "--out", "sheet.png"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let image = sheet(&place, "sheet.png");
    let size = format!("{} x {} px", image.width(), image.height());
    assert_eq!(said.out, format!("sheet.png: 42 of 42 probes, {size}\n"));
    // Drawn on 80 px, the input of the reference model, which is no size that a picture has.
    let bytes = fs::read(place.path("pictures/noto-dog.png")).unwrap();
    let dog = clip_audit::pixels::decode(&bytes).unwrap().fit(80).unwrap();
    assert!(shows(&image, &dog));
    // The same probes give the same sheet, with or without the model.
    let said = place.say(&["preview", "suite.yaml", "--out", "again.png", "--image-size", "80"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(place.path("again.png")).unwrap(), fs::read(place.path("sheet.png")).unwrap());
    place.suite("suite.yaml", &[("reference", "absent")]);
    assert_eq!(place.say(&["preview", "suite.yaml", "--image-size", "224"]).code, Some(0));
    assert!(place.path("preview.png").is_file());
    assert_eq!(place.say(&["preview", "suite.yaml"]).code, Some(3));
}

#[test]
fn people_are_shown_only_to_those_who_ask() {
    let place = Place::new();
    place.suite("suite.yaml", &[("pictures.csv }", "pictures.csv, people: true }")]);
    let dog = |side| {
        let bytes = fs::read(place.path("pictures/noto-dog.png")).unwrap();
        clip_audit::pixels::decode(&bytes).unwrap().fit(side).unwrap()
    };
    let said = place.say(&["preview", "suite.yaml", "--image-size", "80", "--out", "hidden.png"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = place.say(&["preview", "suite.yaml", "--image-size", "80", "--out", "shown.png", "--show-people"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!shows(&sheet(&place, "hidden.png"), &dog(80)));
    assert!(shows(&sheet(&place, "shown.png"), &dog(80)));
}

#[test]
fn inputs_that_cannot_be_used_are_counted_and_marked() {
    let place = Place::new();
    fs::write(place.path("pictures/noto-dog.png"), "no picture").unwrap();
    place.append("pictures.csv", "pictures/absent.png,dog,\u{202e}nobody\n");
    let said = place.say(&["preview", "suite.yaml", "--count", "400"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    // Two clean pictures, and what would have been painted on them: a word and its control twin each.
    assert!(said.out.starts_with("preview.png: 45 of 45 probes") && said.out.contains("; 6 of those cannot be used"));
    let red = sheet(&place, "preview.png").pixels().filter(|pixel| pixel.0 == [168, 30, 30]).count();
    assert!(red > 6 * 4 * 150, "{red}");
}

#[test]
fn a_sheet_is_written_whole_or_not_at_all() {
    let place = Place::new();
    let rows: [(&[&str], i32, &str); 7] = [
        (&["--out", "sheet.jpg"], 2, "clip-audit: sheet.jpg: a sheet is a PNG file; give it a name that ends in .png"),
        (&["--count", "0"], 2, "error: invalid value '0' for '--count <COUNT>'"),
        (&["--width", "100"], 2, "error: invalid value '100' for '--width <WIDTH>'"),
        (&["--image-size", "8"], 2, "error: invalid value '8' for '--image-size <IMAGE_SIZE>'"),
        (
            &["--image-size", "80", "--model", "reference"],
            2,
            "error: the argument '--image-size <IMAGE_SIZE>' cannot be",
        ),
        (&["--image-size", "80", "--out", "nowhere/x.png"], 5, "clip-audit: nowhere/x.png: No such file"),
        (&["--image-size", "80", "--out", "pictures.png"], 5, "clip-audit: pictures.png: Is a directory"),
    ];
    fs::create_dir(place.path("pictures.png")).unwrap();
    for (arguments, code, message) in rows {
        let said = place.say(&[&["preview", "suite.yaml"], arguments].concat());
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
        assert!(said.first_error().starts_with(message), "{arguments:?}: {said:?}");
    }
    let left: Vec<String> = fs::read_dir(place.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["pictures", "pictures.csv", "pictures.png", "suite.yaml"].contains(&name.as_str()))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
