//! The client of registries, against one that does what a test wants: what it asks, as whom, and what becomes of trouble.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use ctr_core::Digest;
use ctr_core::oci::Descriptor;
use ctr_registry::auth::Credentials;
use ctr_registry::client::upload::{Came, Content, New};
use ctr_registry::client::{Endpoint, Registry};
use ctr_registry::http::{Authorities, Files, Http, Patience, Profile, Proxies, Settings};
use ctr_registry::retry::Retry;
use ctr_registry::source::RemoteImage;
use ctr_registry::{RegistryError, Why};
use ctr_store::transport::Source;
use ctr_tests::registry::{self, Auth, Fault, On, Options, Side};

/// Asks four times more, at once.
const HASTY: Retry =
    Retry { times: 4, delay: Some(Duration::from_nanos(1)), base: Duration::ZERO, most: Duration::ZERO };

pub(crate) fn client(to: &registry::Registry, credentials: Credentials) -> Registry {
    let http = Http::new(Settings {
        agent: "ctr-tests".to_owned(),
        proxies: Proxies::default(),
        authorities: Authorities::default(),
        files: Files::of_the_system(),
        patience: Patience::default(),
    });
    let endpoint = Endpoint { host: to.host(), is_insecure: true, profile: Profile::default() };
    Registry::new(Arc::new(http), endpoint, credentials, HASTY)
}

fn anonymous(to: &registry::Registry) -> Registry {
    client(to, Credentials::Anonymous)
}

pub(crate) fn ann() -> Credentials {
    Credentials::parse("ann:secret")
}

/// Bytes that differ from place to place.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).expect("a byte")).collect()
}

fn digest(text: &str) -> Digest {
    Digest::parse(text).expect("a digest")
}

fn read(image: &RemoteImage, descriptor: &Descriptor) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    let mut blob = image.blob(descriptor).map_err(io::Error::other)?;
    blob.read_to_end(&mut found)?;
    Ok(found)
}

/// An image that is one blob, for who only reads that.
fn with_blob(to: &registry::Registry, content: &[u8]) -> (RemoteImage, Descriptor) {
    let name = to.put_blob("a/b", content);
    let descriptor = Descriptor::new("application/octet-stream", digest(&name), content.len() as u64);
    let reference = format!("{}/a/b:1", to.host());
    let parsed = ctr_core::Reference::parse(&reference).expect("a reference");
    (RemoteImage::new(anonymous(to), parsed, reference), descriptor)
}

#[track_caller]
fn status(error: &RegistryError) -> Option<u16> {
    match &*error.why {
        Why::Status { status, .. } => Some(*status),
        _ => None,
    }
}

#[test]
fn a_blob_is_read_on_from_where_its_connection_broke() {
    let to = registry::Registry::start();
    let content = bytes(300_000);
    let (image, descriptor) = with_blob(&to, &content);
    to.fault(On::get("/v2/a/b/blobs/").nth(1), Fault::Cut(100_000));
    to.fault(On::get("/v2/a/b/blobs/").nth(2), Fault::Reset(50_000));
    assert_eq!(read(&image, &descriptor).expect("the blob"), content);
    let asked = to.seen("GET", "/v2/a/b/blobs/");
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[1].header("Range"), Some("bytes=100000-"));
    let third = asked[2]
        .header("Range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    // What a reset takes with it was sent and not read.
    assert!(third.is_some_and(|start: u64| (100_000..=150_000).contains(&start)), "{third:?}");
}

#[test]
fn a_registry_that_gives_no_parts_gives_all_again() {
    let to = registry::Registry::with(Options { ranges: false, ..Options::default() });
    let content = bytes(300_000);
    let (image, descriptor) = with_blob(&to, &content);
    to.fault(On::get("/v2/a/b/blobs/").nth(1), Fault::Cut(100_000));
    assert_eq!(read(&image, &descriptor).expect("the blob"), content);
}

#[test]
fn a_blob_is_opened_at_a_place() {
    for ranges in [true, false] {
        let to = registry::Registry::with(Options { ranges, ..Options::default() });
        let content = bytes(300_000);
        let (image, descriptor) = with_blob(&to, &content);
        // The first breaks in what is thrown away, where there are no parts, and the second in what is not.
        to.fault(On::get("/v2/a/b/blobs/").nth(1), Fault::Cut(50_000));
        to.fault(On::get("/v2/a/b/blobs/").nth(2), Fault::Cut(120_000));
        let mut found = Vec::new();
        let mut blob = image.blob_from(&descriptor, 100_000).expect("the blob");
        blob.read_to_end(&mut found).expect("its bytes");
        assert!(found == content[100_000..], "other bytes");
        assert_eq!(to.seen("GET", "/v2/a/b/blobs/")[0].header("Range"), Some("bytes=100000-"));
    }
}

#[test]
fn a_blob_that_breaks_each_time_is_given_up() {
    let to = registry::Registry::start();
    let (image, descriptor) = with_blob(&to, &bytes(1000));
    to.fault(On::get("/v2/a/b/blobs/"), Fault::Cut(0));
    let error = read(&image, &descriptor).expect_err("no blob");
    assert!(ctr_core::causes::chain(&error).contains("broke"), "{error:?}");
    assert_eq!(to.seen("GET", "/v2/a/b/blobs/").len(), 5);
}

#[test]
fn more_than_a_blob_has_is_not_taken() {
    let to = registry::Registry::start();
    let (image, descriptor) = with_blob(&to, &bytes(1000));
    to.fault(On::get("/v2/a/b/blobs/"), Fault::Append(bytes(10)));
    let error = read(&image, &descriptor).expect_err("no blob");
    assert!(ctr_core::causes::chain(&error).contains("more than the blob has"), "{error:?}");
}

#[test]
fn who_serves_the_blobs_is_not_told_who_asks() {
    let auth = Auth::tokens().user("ann", "secret");
    let to = registry::Registry::with(Options { auth, cdn: true, ..Options::default() });
    let content = bytes(1000);
    let name = to.put_blob("a/b", content.clone());
    let mut found = Vec::new();
    let range = client(&to, ann()).blob("a/b", &digest(&name), 0).expect("the blob");
    { range }.body.read_to_end(&mut found).expect("its bytes");
    assert_eq!(found, content);
    let log = to.log();
    let there: Vec<_> = log.iter().filter(|seen| seen.side == Side::Cdn).collect();
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].authorization(), None);
}

#[test]
fn a_token_is_asked_for_once_and_again_when_it_is_over() {
    let auth = Auth::tokens().user("ann", "secret");
    let to = registry::Registry::with(Options { auth, ..Options::default() });
    let name = to.put_blob("a/b", bytes(10));
    let registry = client(&to, ann());
    for _ in 0..3 {
        assert!(registry.find_blob("a/b", &digest(&name)).expect("an answer").is_some());
    }
    let tokens = |to: &registry::Registry| to.log().iter().filter(|seen| seen.side == Side::Tokens).count();
    assert_eq!(tokens(&to), 1);
    to.expire_tokens();
    assert!(registry.find_blob("a/b", &digest(&name)).expect("an answer").is_some());
    assert_eq!(tokens(&to), 2);
}

#[test]
fn a_wrong_password_is_said_with_whose_it_is() {
    for auth in [Auth::basic().user("ann", "secret"), Auth::tokens().user("ann", "secret")] {
        let to = registry::Registry::with(Options { auth, ..Options::default() });
        let error = client(&to, Credentials::parse("ann:wrong")).tags("a/b").expect_err("no tags");
        assert!(error.is_denied(), "{error:?}");
        let text = ctr_core::causes::chain(&error);
        assert!(text.contains("listing the tags of") && text.contains(" as ann"), "{text}");
        assert!(!text.contains("wrong"), "{text}");
        // It is not asked for again and again: accounts are locked for that.
        assert!(to.log().len() <= 3, "{:?}", to.lines());
        let error = anonymous(&to).tags("a/b").expect_err("no tags");
        assert!(ctr_core::causes::chain(&error).contains("without a login"), "{error}");
    }
}

#[test]
fn an_identity_token_is_exchanged() {
    let auth = Auth::tokens().user("ann", "secret").identity("long-lived", "ann");
    let to = registry::Registry::with(Options { auth, ..Options::default() });
    let name = to.put_blob("a/b", bytes(10));
    let token = Credentials::Identity { user: String::new(), token: "long-lived".to_owned() };
    assert!(client(&to, token).find_blob("a/b", &digest(&name)).expect("an answer").is_some());
    let log = to.log();
    let asked = log.iter().find(|seen| seen.side == Side::Tokens).expect("a question");
    assert_eq!((asked.method.as_str(), asked.authorization()), ("POST", None));
}

#[test]
fn a_registry_that_asks_for_time_gets_it_and_one_that_stumbles_is_asked_again() {
    let to = registry::Registry::start();
    to.put_manifest("a/b", Some("1"), "application/vnd.oci.image.manifest.v1+json", "{}");
    to.fault(On::any("/v2/").nth(1), Fault::too_many("0"));
    to.fault(On::any("/v2/").nth(2), Fault::status(503));
    to.fault(On::any("/v2/").nth(3), Fault::Cut(0));
    assert_eq!(anonymous(&to).tags("a/b").expect("the tags"), ["1"]);
    to.fault(On::any("/v2/"), Fault::status(500));
    let before = to.log().len();
    assert_eq!(status(&anonymous(&to).tags("a/b").expect_err("no tags")), Some(500));
    assert_eq!(to.log().len() - before, 5);
}

#[test]
fn what_will_not_pass_is_not_asked_again() {
    let to = registry::Registry::start();
    for (wanted, fault) in [(403, Fault::status(403)), (404, Fault::status(404)), (400, Fault::status(400))] {
        to.heal();
        to.fault(On::any("/v2/"), fault);
        let before = to.log().len();
        assert_eq!(status(&anonymous(&to).tags("a/b").expect_err("no tags")), Some(wanted));
        assert_eq!(to.log().len() - before, 1, "{wanted}");
    }
}

#[test]
fn lists_come_page_by_page() {
    for absolute in [false, true] {
        let to = registry::Registry::with(Options { page: Some(100), absolute, ..Options::default() });
        to.make_up_tags("a/b", 1050);
        let tags = anonymous(&to).tags("a/b").expect("the tags");
        assert_eq!((tags.len(), tags.last().map(String::as_str)), (1050, Some("tag-000001049")));
        assert_eq!(to.seen("GET", "/v2/a/b/tags/list").len(), 11);
    }
}

#[test]
fn a_list_that_leads_in_a_circle_ends() {
    let to = registry::Registry::start();
    to.put_manifest("a/b", Some("1"), "application/vnd.oci.image.manifest.v1+json", "{}");
    to.fault(On::get("/v2/a/b/tags/"), Fault::header("Link", "</v2/a/b/tags/list>; rel=\"next\""));
    let error = anonymous(&to).tags("a/b").expect_err("no tags");
    assert!(ctr_core::causes::chain(&error).contains("circle"), "{error}");
    to.heal();
    let elsewhere = format!("<{}/v2/a/b/tags/list?n=2>; rel=\"next\"", to.url(Side::Cdn));
    to.fault(On::get("/v2/a/b/tags/"), Fault::header("Link", &elsewhere));
    let error = anonymous(&to).tags("a/b").expect_err("no tags");
    assert!(ctr_core::causes::chain(&error).contains("another host"), "{error}");
}

/// A blob that counts how often it was opened, and where.
struct Counted<'a> {
    bytes: &'a [u8],
    opened: Vec<u64>,
}

impl Content for Counted<'_> {
    fn open(&mut self, from: u64) -> io::Result<Box<dyn Read + '_>> {
        self.opened.push(from);
        self.bytes.open(from)
    }
}

fn upload(
    registry: &Registry,
    content: &[u8],
    from: Option<&str>,
) -> (Result<Came, RegistryError>, Vec<u64>) {
    let mut counted = Counted { bytes: content, opened: Vec::new() };
    let name = Digest::of(content);
    let new = New { repository: "new", digest: &name, size: content.len() as u64, from };
    let came = registry.upload(new, &mut counted);
    (came, counted.opened)
}

#[track_caller]
fn has(to: &registry::Registry, content: &[u8]) {
    let found = to.blob("new", &Digest::of(content).to_string());
    assert!(found.as_deref() == Some(content), "the blob is not there, or another one");
}

#[test]
fn a_blob_is_given_in_one_piece() {
    let to = registry::Registry::start();
    for length in [0, 1, 3_000_000] {
        let content = bytes(length);
        let (came, opened) = upload(&anonymous(&to), &content, None);
        assert_eq!((came.expect("an upload"), opened), (Came::Sent, vec![0]));
        has(&to, &content);
    }
    assert!(to.seen("PATCH", "/v2/new/").is_empty());
    assert_eq!(to.uploads(), 0);
}

#[test]
fn a_blob_that_the_registry_has_is_mounted() {
    let auth = Auth::tokens().user("ann", "secret");
    for mounts in [true, false] {
        let to = registry::Registry::with(Options { auth: auth.clone(), mounts, ..Options::default() });
        let content = bytes(1000);
        to.put_blob("old", content.clone());
        let (came, opened) = upload(&client(&to, ann()), &content, Some("old"));
        let wanted = if mounts { (Came::Mounted, vec![]) } else { (Came::Sent, vec![0]) };
        assert_eq!((came.expect("an upload"), opened), wanted);
        has(&to, &content);
        // One token for both repositories, and no second session for what could not be mounted.
        assert_eq!(to.log().iter().filter(|seen| seen.side == Side::Tokens).count(), 1);
        assert_eq!(
            to.seen("POST", "/v2/new/blobs/uploads/").iter().filter(|seen| seen.status != Some(401)).count(),
            1
        );
    }
}

#[test]
fn an_upload_goes_on_where_it_stopped() {
    let to = registry::Registry::with(Options { max_chunk: None, ..Options::default() });
    let content = bytes(40 << 20);
    // In pieces, since what came of one request that broke is not kept by every registry.
    to.fault(On::method("PUT", "/v2/new/").nth(1), Fault::status(413));
    to.fault(On::method("PATCH", "/v2/new/").nth(2), Fault::status(503));
    let (came, opened) = upload(&anonymous(&to), &content, None);
    assert_eq!(came.expect("an upload"), Came::Sent);
    has(&to, &content);
    let piece = 16 << 20;
    assert_eq!(opened, [0, 0, piece, piece, 2 * piece, content.len() as u64]);
}

#[test]
fn an_upload_that_the_registry_forgot_begins_anew() {
    let to = registry::Registry::start();
    let content = bytes(1_000_000);
    to.fault(On::method("PUT", "/v2/new/").nth(1), Fault::CutRequest(100_000));
    to.fault(On::get("/v2/new/blobs/uploads/"), Fault::status(404));
    let (came, opened) = upload(&anonymous(&to), &content, None);
    assert_eq!((came.expect("an upload"), opened), (Came::Sent, vec![0, 0]));
    has(&to, &content);
}

#[test]
fn a_token_that_ends_in_the_middle_of_an_upload_is_renewed() {
    let mut auth = Auth::tokens().user("ann", "secret");
    auth.uses = Some(1);
    let to = registry::Registry::with(Options { auth, ..Options::default() });
    let content = bytes(1000);
    let (came, _) = upload(&client(&to, ann()), &content, None);
    assert_eq!(came.expect("an upload"), Came::Sent);
    has(&to, &content);
}

#[test]
fn an_upload_to_nowhere_is_said() {
    let to = registry::Registry::start();
    to.fault(On::method("POST", "/v2/new/"), Fault::without("Location"));
    let (came, opened) = upload(&anonymous(&to), &bytes(10), None);
    let error = came.expect_err("no upload");
    assert!(ctr_core::causes::chain(&error).contains("does not say where"), "{error}");
    assert!(opened.is_empty());
}

#[test]
fn a_manifest_is_what_its_name_says() {
    let to = registry::Registry::start();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let name = to.put_manifest("a/b", Some("1"), kind, "{}");
    let found = anonymous(&to).manifest("a/b", "1").expect("a manifest");
    assert_eq!((found.digest.to_string(), found.media_type.as_deref()), (name.clone(), Some(kind)));
    to.put_wrong_manifest("a/b", "2", kind, &name, "{\"x\":1}");
    for which in ["2", &name] {
        let error = anonymous(&to).manifest("a/b", which).expect_err("another one");
        assert!(matches!(*error.why, Why::Digest(_)), "{error:?}");
    }
    assert!(anonymous(&to).find_manifest("a/b", "nosuch").expect("an answer").is_none());
    let error = anonymous(&to).manifest("a/b", "nosuch").expect_err("none");
    assert!(error.is_missing(), "{error:?}");
    to.fault(On::get("/v2/a/b/manifests/"), Fault::Endless(vec![b'x'; 1 << 16]));
    let error = anonymous(&to).manifest("a/b", "1").expect_err("an endless one");
    assert!(ctr_core::causes::chain(&error).contains("longer than"), "{error}");
}

#[test]
fn who_the_registry_leads_to_does_not_choose_who_gets_the_password() {
    for auth in [Auth::basic().user("ann", "secret"), Auth::tokens().user("ann", "secret")] {
        let to = registry::Registry::with(Options { auth, cdn: true, ..Options::default() });
        let thief = registry::Registry::start();
        let name = to.put_blob("a/b", bytes(1000));
        let realm = format!("Bearer realm=\"{}/token\",service=\"x\"", thief.url(Side::Registry));
        to.fault(On::any("/").of(Side::Cdn), Fault::challenge(&realm));
        let error = client(&to, ann()).blob("a/b", &digest(&name), 0).expect_err("no blob");
        assert_eq!(status(&error), Some(401));
        assert!(thief.log().is_empty(), "{:?}", thief.lines());
        // Nor has the registry's own way been forgotten.
        assert!(client(&to, ann()).find_blob("a/b", &digest(&name)).expect("an answer").is_some());
    }
}

#[test]
fn trouble_with_tokens_is_no_wrong_password_and_may_pass() {
    let auth = Auth::tokens().user("ann", "secret");
    let to = registry::Registry::with(Options { auth, ..Options::default() });
    let name = to.put_blob("a/b", bytes(10));
    to.fault(On::any("/").of(Side::Tokens).first(2), Fault::status(503));
    assert!(client(&to, ann()).find_blob("a/b", &digest(&name)).expect("an answer").is_some());
    to.heal();
    to.fault(On::any("/").of(Side::Tokens), Fault::status(503));
    let error = client(&to, ann()).find_blob("a/b", &digest(&name)).expect_err("no token");
    assert!(!error.is_denied(), "{error:?}");
    assert!(ctr_core::causes::chain(&error).contains("answered 503"), "{error:?}");
}

#[test]
fn a_registry_that_keeps_no_piece_is_not_fed_for_ever() {
    let to = registry::Registry::start();
    to.fault(On::method("PUT", "/v2/new/").nth(1), Fault::status(413));
    to.fault(On::method("PATCH", "/v2/new/"), Fault::header("Range", "0-0"));
    let (came, _) = upload(&anonymous(&to), &bytes(20 << 20), None);
    let error = came.expect_err("no upload");
    assert!(ctr_core::causes::chain(&error).contains("does not keep"), "{error}");
}

#[test]
fn a_list_of_two_pages_that_lead_to_each_other_ends() {
    let to = registry::Registry::start();
    to.put_manifest("a/b", Some("1"), "application/vnd.oci.image.manifest.v1+json", "{}");
    let link = |target: &str| Fault::header("Link", &format!("<{target}>; rel=\"next\""));
    to.fault(On::get("/v2/a/b/tags/list").nth(1), link("/v2/a/b/tags/list?x=1"));
    to.fault(On::get("/v2/a/b/tags/list").nth(2), link("/v2/a/b/tags/list?x=2"));
    to.fault(On::get("/v2/a/b/tags/list").from(3), link("/v2/a/b/tags/list?x=1"));
    let error = anonymous(&to).tags("a/b").expect_err("no tags");
    assert!(ctr_core::causes::chain(&error).contains("circle"), "{error}");
}

#[test]
fn what_was_deleted_and_not_answered_is_deleted() {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let to = registry::Registry::start();
    let name = to.put_manifest("a/b", Some("1"), kind, "{}");
    // It does what it is asked, and hangs up before it says so.
    to.fault(On::method("DELETE", "/v2/a/b/").nth(1), Fault::Lost);
    anonymous(&to).delete_manifest("a/b", &name).expect("a deletion");
    let statuses: Vec<_> = to.seen("DELETE", "/v2/a/b/").iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [None, Some(404)]);
    // What was never there is said.
    let error = anonymous(&to).delete_manifest("a/b", &name).expect_err("nothing");
    assert!(error.is_missing(), "{error:?}");
}
