//! The first hour of somebody new: a web server in the background, its log, a shell in it, what it made taken out of it, and
//! nothing left behind.

use std::net::TcpListener;

use ctr_tests::{BUSYBOX, Env, needs};

/// The server, on a port that nobody has. Somebody may take that before the server does.
fn serve(env: &Env) -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let serve = format!("echo serving {port}; exec busybox httpd -f -v -p 127.0.0.1:{port} -h /www");
        let flags = ["run", "-d", "--name", "web", "--replace", "--network", "host", "-v", "site:/www"];
        let id = env.ok([&flags[..], &["busybox", "sh", "-c", &serve]].concat());
        assert_eq!(id.len(), 64, "{id}");
        let listens =
            format!("until busybox nc 127.0.0.1 {port} </dev/null; do busybox kill -0 1 || exit 9; done");
        if env.ctr(["exec", "web", "sh", "-c", &listens]).run().code() == 0 {
            return port;
        }
    }
}

#[test]
fn a_web_server_from_the_first_command_to_the_last() {
    needs!(Userns);
    let env = Env::with_busybox();
    let port = serve(&env);
    let mut follower = env.ctr(["logs", "-f", "web"]).start();
    let _said = follower.wait_for(&format!("serving {port}\n"));
    let shell =
        env.ctr(["exec", "-i", "web", "sh"]).stdin("echo hello >/www/page; echo mine >/file; exit 4\n");
    assert_eq!(shell.run().code(), 4);
    let page = env.shell(["--network", "host"], &format!("busybox wget -q -O- http://127.0.0.1:{port}/page"));
    assert_eq!(page.run().success(), "hello");
    let _answered = follower.wait_for_errors("response:200\n");
    assert_eq!(env.ok(["cp", "web:/file", "copied"]), "");
    assert_eq!(std::fs::read_to_string(env.path("copied")).expect("a file"), "mine\n");
    let image = env.ok(["commit", "-q", "-c", "CMD [\"cat\", \"/file\"]", "web", "localhost/web"]);
    assert_eq!(image.len(), 64, "{image}");
    assert_eq!(env.ok(["run", "--rm", "localhost/web"]), "mine");
    assert_eq!(env.ok(["volume", "export", "--output", "site.tar", "site"]), "");
    let listed = env.program("tar", ["-tf", "site.tar"]).run().success();
    assert!(listed.lines().any(|name| name.ends_with("page")), "{listed}");
    assert_eq!(env.ok(["restart", "-t", "0", "web"]), "web");
    let images = env.ok(["events", "--stream=false", "--filter", "container=web", "--format", "{{.Image}}"]);
    assert!(images.lines().all(|image| image == BUSYBOX), "each start has it in full: {images}");
    assert_eq!(env.ok(["stop", "-t", "0", "web"]), "web");
    assert_eq!(follower.finish().code(), 0, "it ends with the container");
    assert_eq!(env.ok(["rm", "web"]), "web");
    assert_eq!(env.ok(["volume", "rm", "site"]), "site");
    assert!(env.ok(["rmi", "--all"]).contains(&image));
    for list in [&["ps", "-aq"][..], &["volume", "ls", "-q"], &["images", "-q"]] {
        assert_eq!(env.ok(list), "", "{list:?}");
    }
}
