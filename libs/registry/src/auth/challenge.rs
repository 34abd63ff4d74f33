//! What a registry wants to know before it answers: `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3).

/// Bytes of all challenges of one answer.
const LONGEST: usize = 16 << 10;

/// One way of saying who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A token, which somebody else hands out.
    Bearer(Bearer),
    /// A name and a password.
    Basic,
}

/// Where a token is to be had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bearer {
    /// The address of who hands it out.
    pub realm: String,
    /// What it is for.
    pub service: Option<String>,
    /// What must be allowed.
    pub scope: Option<String>,
    /// What was wrong with the one that was shown.
    pub error: Option<String>,
}

/// Reads the values of all fields of an answer; ways that nobody here knows are left out.
pub fn challenges<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    values.filter(|value| value.len() <= LONGEST).flat_map(one).collect()
}

fn one(value: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut current: Option<(String, Vec<(String, String)>)> = None;
    for word in Words(value) {
        match word {
            Word::Scheme(scheme) => {
                found.extend(current.replace((scheme.to_ascii_lowercase(), Vec::new())).and_then(known));
            }
            Word::Parameter(name, value) => {
                if let Some((_, parameters)) = &mut current {
                    parameters.push((name.to_ascii_lowercase(), value));
                }
            }
        }
    }
    found.extend(current.and_then(known));
    found
}

fn known((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let get = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer(Bearer {
            realm: get("realm")?,
            service: get("service"),
            scope: get("scope"),
            error: get("error"),
        })),
        _ => None,
    }
}

enum Word<'a> {
    Scheme(&'a str),
    Parameter(&'a str, String),
}

/// The words of a value: a name with `=` behind it is a parameter, one without begins a challenge.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            self.0 = self.0.trim_start_matches([',', ' ', '\t']);
            let is_token =
                |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
            let end = self.0.find(|letter| !is_token(letter)).unwrap_or(self.0.len());
            if end == 0 {
                // Whatever this is, it is passed by, one letter at a time.
                let letter = self.0.chars().next()?;
                self.0 = &self.0[letter.len_utf8()..];
                continue;
            }
            let (name, rest) = self.0.split_at(end);
            let Some(value) = rest.trim_start_matches([' ', '\t']).strip_prefix('=') else {
                self.0 = rest;
                return Some(Word::Scheme(name));
            };
            let (value, rest) = value_of(value.trim_start_matches([' ', '\t']));
            self.0 = rest;
            return Some(Word::Parameter(name, value));
        }
    }
}

/// A value as it is or in quotes, and what stands behind it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Vec<Challenge> {
        challenges([value].into_iter())
    }

    fn bearer(realm: &str, service: &str, scope: &str) -> Challenge {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: some(service),
            scope: some(scope),
            error: None,
        })
    }

    #[test]
    fn as_registries_write_them() {
        assert_eq!(
            read(
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#
            ),
            [bearer("https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull,push")]
        );
        assert_eq!(read(r#"Basic realm="Registry Realm""#), [Challenge::Basic]);
        assert_eq!(read("basic"), [Challenge::Basic]);
        assert_eq!(
            read(r#"Negotiate, BEARER Realm=https://x , service = "a \"b\" c", Basic realm=y"#),
            [bearer("https://x", r#"a "b" c"#, ""), Challenge::Basic]
        );
        let with_error = read(r#"Bearer realm="r",error="insufficient_scope""#);
        assert!(
            matches!(&with_error[..], [Challenge::Bearer(one)] if one.error.as_deref() == Some("insufficient_scope"))
        );
    }

    #[test]
    fn what_names_no_realm_is_no_way() {
        for text in ["", "Bearer", "Bearer service=\"x\"", "=", "\"", "Digest realm=x", ",,,", "Bearer realm"]
        {
            assert!(read(text).is_empty(), "{text}");
        }
        assert!(read(&format!("Bearer realm=\"{}\"", "x".repeat(LONGEST))).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,80}") {
            drop(read(&text));
            drop(read(&format!("Bearer realm=\"{text}")));
        }
    }
}
