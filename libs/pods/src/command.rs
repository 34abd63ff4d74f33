//! What runs: the image's ENTRYPOINT and CMD, `--entrypoint`, and the words after the image.

/// Nothing is there to run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no command or entrypoint provided, and no CMD or ENTRYPOINT from image")]
pub struct NoCommand;

/// `--entrypoint`: a JSON array, or one word that may hold blanks.
#[must_use]
pub fn parse_entrypoint(text: &str) -> Vec<String> {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => words,
        Err(_) if text.is_empty() => Vec::new(),
        Err(_) => vec![text.to_owned()],
    }
}

/// Puts the argument vector together. An entry point that the user gives takes the image's CMD away with the image's
/// ENTRYPOINT: it belonged to that.
///
/// # Errors
/// Nobody says what to run.
pub fn build(
    image_entrypoint: &[String],
    image_cmd: &[String],
    entrypoint: Option<&[String]>,
    words: &[String],
) -> Result<Vec<String>, NoCommand> {
    let mut command = entrypoint.unwrap_or(image_entrypoint).to_vec();
    // Podman takes one empty word, as some builders write an unset entry point, for none.
    if command.iter().all(String::is_empty) {
        command.clear();
    }
    match (words.is_empty(), entrypoint) {
        (false, _) => command.extend_from_slice(words),
        (true, None) => command.extend_from_slice(image_cmd),
        (true, Some(_)) => {}
    }
    if command.is_empty() { Err(NoCommand) } else { Ok(command) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn commands_merge_as_docker_merges_them() {
        for (image_entry, image_cmd, entry, args, want) in [
            ("", "sh", None, "", Some("sh")),
            ("", "sh", None, "ls -l", Some("ls -l")),
            ("tini --", "sh", None, "", Some("tini -- sh")),
            ("tini --", "sh", None, "ls", Some("tini -- ls")),
            ("tini --", "sh", Some("echo"), "", Some("echo")),
            ("tini --", "sh", Some("echo"), "hi", Some("echo hi")),
            ("tini --", "sh", Some(""), "ls", Some("ls")),
            ("tini --", "sh", Some(""), "", None),
            ("", "", None, "", None),
        ] {
            let entry = entry.map(words);
            let got = build(&words(image_entry), &words(image_cmd), entry.as_deref(), &words(args)).ok();
            assert_eq!(got, want.map(words));
        }
        assert_eq!(build(&[String::new()], &words("sh"), None, &[]), Ok(words("sh")));
    }

    #[test]
    fn entry_points_are_an_array_or_one_word() {
        assert_eq!(parse_entrypoint("[\"/bin/echo\",\"a b\"]"), ["/bin/echo", "a b"]);
        assert_eq!(parse_entrypoint("echo a"), ["echo a"]);
        assert_eq!(parse_entrypoint("[broken"), ["[broken"]);
        assert!(parse_entrypoint("").is_empty());
        assert!(parse_entrypoint("[]").is_empty());
    }
}
