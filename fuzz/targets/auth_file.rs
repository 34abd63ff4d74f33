//! Whatever a file of logins holds, reading it ends; and putting a login in and taking it out again leaves the others.
#![no_main]

use ctr_registry::config::auth_file::{Answer, AuthFile, Form};
use ctr_registry::config::{Credentials, LoginKey};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    for form in [Form::Containers, Form::Docker, Form::Legacy] {
        let Ok(mut file) = AuthFile::parse(text, form) else { continue };
        for key in ["quay.io/team/app", "docker.io", "a.b:5000"] {
            let key = LoginKey::parse(key).expect("a key");
            let before = file.answer(&key);
            if form == Form::Legacy || key.is_namespaced() && form == Form::Docker {
                continue;
            }
            let others = |file: &AuthFile| -> Vec<String> {
                file.keys().filter(|other| *other != file.key(&key)).map(str::to_owned).collect()
            };
            let kept = others(&file);
            let login = Credentials::new("bob", "pass:word");
            file.set(&key, &login);
            let mut read = AuthFile::parse(file.text().as_bytes(), form).expect("what was written is read");
            assert_eq!(others(&read), kept);
            if !matches!(before, Ok(Answer::Helper { .. })) {
                let expected = Answer::Login { key: read.key(&key).to_owned(), credentials: login };
                assert_eq!(read.answer(&key).expect("an answer"), expected);
            }
            assert!(read.remove(&key));
            assert_eq!(others(&read), kept);
            file = read;
        }
    }
});
