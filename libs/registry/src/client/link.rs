//! Where the next page of a list is (RFC 8288): `Link: </v2/_catalog?last=b&n=2>; rel="next"`.

/// Finds the address of the next page in the values of all fields.
#[must_use]
pub fn next<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    values
        .find_map(|value| links(value).find(|(_, relation)| relation.eq_ignore_ascii_case("next")))
        .map(|(address, _)| address)
}

/// The addresses of a value, each with its relation.
fn links(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let (_, begun) = rest.split_once('<')?;
        let (address, parameters) = begun.split_once('>')?;
        // An address has no comma behind its end, so the next one begins behind the next angle.
        let (own, after) = parameters.split_at(parameters.find('<').unwrap_or(parameters.len()));
        rest = after;
        let relation = own.split([';', ',']).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"'))
        });
        Some((address, relation.unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(value: &str) -> Option<&str> {
        next([value].into_iter())
    }

    #[test]
    fn as_registries_write_them() {
        assert_eq!(of(r#"</v2/_catalog?last=b&n=2>; rel="next""#), Some("/v2/_catalog?last=b&n=2"));
        assert_eq!(of("</x>;rel=next"), Some("/x"));
        assert_eq!(of(r#"</first>; rel="first", </next>; title="a, b"; rel="next""#), Some("/next"));
        for none in ["", "</x>", r#"</x>; rel="prev""#, "/x; rel=next", "<x; rel=next"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,60}") {
            of(&text);
        }
    }
}
