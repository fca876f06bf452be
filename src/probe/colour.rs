//! Colours as a suite writes them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

/// A colour: one of a few names, or `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Colour(pub [u8; 3]);

/// The outline of letters: a colour or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Outline(pub Option<Colour>);

const COLOURS: [(&str, [u8; 3]); 9] = [
    ("white", [255, 255, 255]),
    ("black", [0, 0, 0]),
    ("grey", [128, 128, 128]),
    ("red", [220, 30, 30]),
    ("green", [20, 150, 60]),
    ("blue", [30, 70, 220]),
    ("yellow", [250, 220, 30]),
    ("orange", [245, 140, 20]),
    ("purple", [130, 50, 170]),
];

impl TryFrom<String> for Colour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some((_, rgb)) = COLOURS.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*rgb));
        }
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii());
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        value.map(|value| Self([(value >> 16) as u8, (value >> 8) as u8, value as u8])).ok_or_else(|| {
            format!("`{text}` is no colour: expected #rrggbb or one of {}", COLOURS.map(|(name, _)| name).join(", "))
        })
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        let named = COLOURS.iter().find(|(_, rgb)| *rgb == colour.0);
        let [red, green, blue] = colour.0;
        named.map_or_else(|| format!("#{red:02x}{green:02x}{blue:02x}"), |(name, _)| (*name).to_owned())
    }
}

impl TryFrom<String> for Outline {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        Colour::try_from(text).map(|colour| Self(Some(colour))).map_err(|problem| problem + ", or none")
    }
}

impl From<Outline> for String {
    fn from(outline: Outline) -> Self {
        outline.0.map_or_else(|| "none".to_owned(), Self::from)
    }
}

fn colour_schema(description: &str, extra: &[&str]) -> Schema {
    let names: Vec<&str> = extra.iter().copied().chain(COLOURS.map(|(name, _)| name)).collect();
    json_schema!({
        "description": description,
        "anyOf": [{ "enum": names }, { "type": "string", "pattern": "^#[0-9a-fA-F]{6}$" }],
    })
}

impl JsonSchema for Colour {
    fn schema_name() -> Cow<'static, str> {
        "Colour".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        colour_schema("A colour's name or #rrggbb.", &[])
    }
}

impl JsonSchema for Outline {
    fn schema_name() -> Cow<'static, str> {
        "Outline".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        colour_schema("A colour's name, #rrggbb, or none.", &["none"])
    }
}

/// Reads a text that is checked as it is read: an error raised later (as by `try_from`) would lose the field's name.
struct Checked<T>(PhantomData<T>);

impl<T: TryFrom<String, Error = String>> Visitor<'_> for Checked<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a colour")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::try_from(text.to_owned()).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Checked(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Checked(PhantomData))
    }
}
