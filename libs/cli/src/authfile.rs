//! Files of logins that an option names.

use std::io;
use std::path::Path;

use crate::peers::Sentence;
use crate::report::CommandError;

/// Checks that a file that was named is there: with another one's logins, or none, an image would be asked for as somebody else.
///
/// # Errors
/// It is not, or not for us.
pub fn check(path: &Path) -> Result<(), CommandError> {
    path.metadata().map(drop).map_err(|error| inaccessible(path, &error))
}

fn inaccessible(path: &Path, error: &io::Error) -> CommandError {
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or(&text);
    let path = path.display();
    let peer = format!("credential file is not accessible: faccessat {path}: {}", why.to_lowercase());
    CommandError::user(format!("credential file is not accessible: {path}: {why}"))
        .peer(Sentence::Other(peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::Voice;

    #[test]
    fn the_peers_words() {
        check(Path::new("/")).unwrap();
        let error = check(Path::new("/nosuch")).unwrap_err();
        let peer = "Error: credential file is not accessible: faccessat /nosuch: no such file or directory\n";
        assert_eq!(error.render(Voice::Podman), peer);
        let ours = "Error: credential file is not accessible: /nosuch: No such file or directory\n";
        assert_eq!(error.render(Voice::Ctr), ours);
    }
}
