//! Servers that cannot prove who they are. In each test the certificate is the only thing that is wrong: the same
//! server with a good one answers.

use std::sync::Arc;

use rcgen::{BasicConstraints, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;

use super::kit::*;
use crate::error::{Error, Kind};
use crate::net::NetSettings;

/// The error that a server's certificate leads to. Nothing of the request was sent.
fn refused(tls: &Arc<ServerConfig>, settings: &NetSettings) -> Error {
    let server = listen_tls(tls, friendly);
    let fault = fault(settings, &server.https("redcap.example"));
    assert_eq!(fault.error.kind, Kind::Certificate, "{fault:?}");
    assert!(!fault.sent);
    assert!(server.received().is_empty());
    fault.error
}

fn named(what: &str, error: &Error) -> String {
    let port = error.message.split("redcap.example:").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit));
    let port: String =
        port.unwrap_or_else(|| panic!("{what}: the server is not named in `{}`", error.message)).collect();
    error.message.replace(&format!("redcap.example:{port}"), "SERVER")
}

#[test]
fn a_certificate_of_the_institutions_ca_is_trusted() {
    let ca = Ca::new();
    let server = listen_tls(&ca.server(&["redcap.example"]), friendly);
    let client = net().client(&trusting(&ca)).unwrap();
    assert_eq!(run(call(&client, &server.https("redcap.example"))).unwrap(), b"ok");
}

#[test]
fn an_expired_certificate_has_its_own_message_with_the_date() {
    let ca = Ca::new();
    let tls = ca.server_with(&["redcap.example"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    });
    let error = refused(&tls, &trusting(&ca));
    assert_eq!(named("expired", &error), "the certificate of `SERVER` expired on 2021-02-03");
    assert!(error.hints[0].contains("renew"));
}

#[test]
fn a_certificate_that_is_not_valid_yet_has_its_own_message_with_the_date_and_names_the_clock() {
    let ca = Ca::new();
    let tls = ca.server_with(&["redcap.example"], |params| {
        params.not_before = date_time_ymd(2090, 12, 31);
        params.not_after = date_time_ymd(2095, 1, 1);
    });
    let error = refused(&tls, &trusting(&ca));
    assert_eq!(named("not yet", &error), "the certificate of `SERVER` is not valid before 2090-12-31");
    assert!(error.hints[0].contains("clock"));
}

#[test]
fn a_certificate_for_another_host_has_its_own_message_with_the_names() {
    let ca = Ca::new();
    let error = refused(&ca.server(&["other.example", "*.third.example"]), &trusting(&ca));
    assert_eq!(
        named("other host", &error),
        "the certificate of `SERVER` is not for `redcap.example`: it is for `other.example`, `*.third.example`"
    );
}

#[test]
fn a_certificate_whose_names_could_carry_a_token_is_shown_without_them() {
    let ca = Ca::new();
    let error = refused(&ca.server(&["f4ce0000f4ce1111f4ce2222f4ce3333.example"]), &trusting(&ca));
    assert_eq!(named("names", &error), "the certificate of `SERVER` is not for `redcap.example`");
}

#[test]
fn a_certificate_of_an_unknown_ca_has_its_own_message() {
    let (ca, namesake, other) = (Ca::new(), Ca::new(), Ca::named("another CA"));
    let tls = ca.server(&["redcap.example"]);
    for settings in [settings(), trusting(&namesake), trusting(&other)] {
        let error = refused(&tls, &settings);
        assert_eq!(
            named("unknown", &error),
            "the certificate of `SERVER` is from a certificate authority that is not trusted here"
        );
        assert!(error.hints[0].contains("`ca_file`"));
    }
}

#[test]
fn a_self_signed_certificate_has_its_own_message_whether_it_calls_itself_a_ca_or_not() {
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&["redcap.example"]);
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).unwrap();
        let error = refused(&server(certificate.der().clone(), &key), &settings());
        assert_eq!(named("self-signed", &error), "the certificate of `SERVER` is self-signed: nobody vouches for it");
    }
}

#[test]
fn a_certificate_for_another_purpose_is_refused() {
    let ca = Ca::new();
    let tls = ca.server_with(&["redcap.example"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
    });
    assert_eq!(named("purpose", &refused(&tls, &trusting(&ca))), "the certificate of `SERVER` is not trusted");
}
