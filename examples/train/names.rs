//! What an icon's slug says: the concept, its name, and the gender presentation and skin tone of a person.
//!
//! Icon sets name their pictures `woman-police-officer-medium-dark-skin-tone`, `police-officer-tone4` or
//! `woman-police-officer-medium-dark`: the same thing in three spellings.

use std::collections::BTreeSet;

/// Skin tones, from light to dark.
pub(crate) const TONES: [&str; 5] = ["light", "medium-light", "medium", "medium-dark", "dark"];

/// The same, longest first, so that `-medium-dark` is never taken for `-dark`.
const LONGEST_FIRST: [&str; 5] = ["medium-light", "medium-dark", "medium", "light", "dark"];

/// Longest slug, without its tone, that still names one thing, characters.
const LONGEST_SLUG: usize = 40;

/// Most words of a concept; what is longer is a family or a couple.
const MOST_WORDS: usize = 6;

/// A slug taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The thing itself, without gender and tone: `police officer`.
    pub(crate) concept: String,
    /// The thing as it is named, without the tone: `woman police officer`.
    pub(crate) name: String,
    /// `man` or `woman`, where the slug says so.
    pub(crate) gender: Option<&'static str>,
    /// One of [`TONES`], where the slug says so.
    pub(crate) tone: Option<&'static str>,
}

/// Takes a slug apart; `None` for what names no single thing: two tones, a direction, a long family.
///
/// `bare` holds the slugs of a set that writes tones without `-skin-tone`. A last word such as `dark` is a tone there
/// only if the set has all five.
pub(crate) fn parse(slug: &str, bare: Option<&BTreeSet<String>>) -> Option<Name> {
    if slug.contains("facing") {
        return None;
    }
    let (base, tone) = split_tone(slug, bare);
    if base.contains("skin-tone") || has_numbered_tone(base) || has_two_tones(base) {
        return None;
    }
    let base = base.replace("flag-for-flag-", "flag-").replace("flag-for-", "flag-");
    let (gender, mut role) = split_gender(&base);
    if let Some(rest) = base.strip_prefix("person-")
        && !rest.starts_with("in")
        && !rest.starts_with("with")
    {
        role = rest.into();
    }
    if role.split('-').count() > MOST_WORDS || base.chars().count() > LONGEST_SLUG {
        return None;
    }
    Some(Name { concept: role.replace('-', " "), name: base.replace('-', " "), gender, tone })
}

fn split_tone<'a>(slug: &'a str, bare: Option<&BTreeSet<String>>) -> (&'a str, Option<&'static str>) {
    let before = |tone: &str, end: &str| slug.strip_suffix(end)?.strip_suffix(tone)?.strip_suffix('-');
    for tone in LONGEST_FIRST {
        if let Some(base) = before(tone, "-skin-tone") {
            return (base, Some(tone));
        }
    }
    for (digit, tone) in ["1", "2", "3", "4", "5"].into_iter().zip(TONES) {
        if let Some(base) = before("tone", digit) {
            return (base, Some(tone));
        }
    }
    if let Some(slugs) = bare {
        for tone in LONGEST_FIRST {
            if let Some(base) = before(tone, "")
                && TONES.iter().all(|tone| slugs.contains(&format!("{base}-{tone}")))
            {
                return (base, Some(tone));
            }
        }
    }
    (slug, None)
}

fn has_numbered_tone(base: &str) -> bool {
    base.match_indices("tone").any(|(at, word)| base[at + word.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

fn has_two_tones(base: &str) -> bool {
    const WORDS: [&str; 3] = ["light", "medium", "dark"];
    WORDS.iter().any(|first| WORDS.iter().any(|second| base.contains(&format!("-{first}-{second}"))))
}

/// Gender and what is left of the slug. The last match counts, men after women, as in `kiss-woman-man`.
fn split_gender(base: &str) -> (Option<&'static str>, String) {
    let mut found = (None, base.to_owned());
    for (gender, words) in [("woman", ["woman", "women"]), ("man", ["man", "men"])] {
        for word in words {
            let role = if base == word {
                "person".to_owned()
            } else if let Some(rest) = base.strip_prefix(word).and_then(|rest| rest.strip_prefix('-')) {
                if rest.starts_with("in-") || rest.starts_with("with-") {
                    format!("person-{rest}")
                } else {
                    rest.into()
                }
            } else if let Some(rest) = base.strip_suffix(word).and_then(|rest| rest.strip_suffix('-')) {
                rest.into()
            } else {
                continue;
            };
            found = (Some(gender), role);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Name, TONES, parse};

    fn name(concept: &str, name: &str, gender: Option<&'static str>, tone: Option<&'static str>) -> Option<Name> {
        Some(Name { concept: concept.into(), name: name.into(), gender, tone })
    }

    #[test]
    fn things_keep_their_names() {
        assert_eq!(parse("hot-beverage", None), name("hot beverage", "hot beverage", None, None));
        assert_eq!(parse("flag-for-flag-brazil", None), name("flag brazil", "flag brazil", None, None));
        assert_eq!(parse("flag-for-brazil", None), name("flag brazil", "flag brazil", None, None));
        assert_eq!(parse("human", None), name("human", "human", None, None));
    }

    #[test]
    fn three_spellings_of_a_tone() {
        for (digit, tone) in (1..).zip(TONES) {
            let expected = name("judge", "woman judge", Some("woman"), Some(tone));
            assert_eq!(parse(&format!("woman-judge-{tone}-skin-tone"), None), expected);
            assert_eq!(parse(&format!("woman-judge-tone{digit}"), None), expected);
            let slugs = TONES.iter().map(|tone| format!("woman-judge-{tone}")).collect();
            assert_eq!(parse(&format!("woman-judge-{tone}"), Some(&slugs)), expected);
        }
    }

    #[test]
    fn a_bare_tone_needs_all_five() {
        let slugs = BTreeSet::from(["traffic-light".to_owned(), "traffic-dark".to_owned()]);
        assert_eq!(parse("traffic-light", Some(&slugs)), name("traffic light", "traffic light", None, None));
        assert_eq!(parse("woman-judge-dark", None), name("judge dark", "woman judge dark", Some("woman"), None));
    }

    #[test]
    fn genders_before_and_after_the_role() {
        assert_eq!(parse("woman", None), name("person", "woman", Some("woman"), None));
        assert_eq!(parse("men-wrestling", None), name("wrestling", "men wrestling", Some("man"), None));
        assert_eq!(parse("old-woman", None), name("old", "old woman", Some("woman"), None));
        assert_eq!(
            parse("man-in-tuxedo-dark-skin-tone", None),
            name("person in tuxedo", "man in tuxedo", Some("man"), Some("dark"))
        );
        assert_eq!(parse("woman-with-veil", None), name("person with veil", "woman with veil", Some("woman"), None));
        assert_eq!(parse("kiss-woman-man", None), name("kiss woman", "kiss woman man", Some("man"), None));
        assert_eq!(parse("person-biking", None), name("biking", "person biking", None, None));
        assert_eq!(parse("person-in-bed", None), name("person in bed", "person in bed", None, None));
        assert_eq!(parse("manual-wheelchair", None), name("manual wheelchair", "manual wheelchair", None, None));
    }

    #[test]
    fn no_single_thing() {
        for slug in [
            "person-walking-facing-right",
            "people-holding-hands-medium-dark-skin-tone-light-skin-tone",
            "handshake-medium-light",
            "handshake-tone1-tone3",
            "a-b-c-d-e-f-g",
            "a-slug-whose-letters-are-far-too-many-to-name",
        ] {
            assert_eq!(parse(slug, None), None, "{slug}");
        }
    }
}
