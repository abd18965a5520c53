//! References in values: `${env:NAME}`, `${file:/path:key}`, `${directory:/path:name}`.
//!
//! Owns: which providers are declared, what a reference means, what is left as it stands.
//! Does not own: variables and files: the caller reads them.
//!
//! As in Kafka, nothing is replaced unless `config.providers` names the provider and
//! `config.providers.<name>.class` says which it is; what is not found, or not allowed, stays as it stands.
//!
//! Source: KIP-297, KIP-421, KIP-887, KIP-993; requirement CFG-10.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::properties::Properties;
use super::{PropertiesError, Settings, split_list};

/// What references are read from.
pub trait Outside {
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// Why references cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("config.providers names '{name}', but config.providers.{name}.class is not set")]
    NoClass { name: String },
    #[error(
        "config.providers.{name}.class is {class}; known are EnvVarConfigProvider, FileConfigProvider and \
         DirectoryConfigProvider of org.apache.kafka.common.config.provider"
    )]
    UnknownClass { name: String, class: String },
    #[error("config.providers.{name}.param.allowlist.pattern is no regular expression: {source}")]
    Pattern { name: String, source: regex::Error },
    #[error("could not read properties from file {}, which {reference} names: {source}", path.display())]
    File { path: PathBuf, reference: String, source: io::Error },
    #[error("could not read properties from file {}: {source}", path.display())]
    Text { path: PathBuf, source: PropertiesError },
}

/// A provider as it is declared.
#[derive(Debug)]
enum Provider {
    /// Variables whose whole name matches.
    Environment(Option<Regex>),
    /// Keys of properties files below these paths.
    File(Vec<PathBuf>),
    /// Whole files below these paths.
    Directory(Vec<PathBuf>),
}

/// Replaces every reference in the values.
pub fn resolve_references(settings: &Settings, outside: &dyn Outside) -> Result<Settings, ProviderError> {
    let providers = declared(settings)?;
    if providers.is_empty() {
        return Ok(settings.clone());
    }
    let resolve =
        |(name, text): (&String, &String)| Ok((name.clone(), resolve_text(text, &providers, outside)?));
    settings.iter().map(resolve).collect()
}

fn declared(settings: &Settings) -> Result<BTreeMap<String, Provider>, ProviderError> {
    let mut providers = BTreeMap::new();
    for name in split_list(settings.get("config.providers").map_or("", String::as_str)) {
        let class_key = format!("config.providers.{name}.class");
        let Some(class) = settings.get(&class_key) else { return Err(ProviderError::NoClass { name }) };
        let parameter = |key: &str| settings.get(&format!("config.providers.{name}.param.{key}"));
        let allowed = || -> Vec<PathBuf> {
            let paths = parameter("allowed.paths").map(|paths| split_list(paths));
            paths.unwrap_or_default().into_iter().map(PathBuf::from).collect()
        };
        let provider = match class.trim().strip_prefix("org.apache.kafka.common.config.provider.") {
            Some("EnvVarConfigProvider") => {
                let anchored = parameter("allowlist.pattern").map(|pattern| format!("^(?:{pattern})$"));
                let pattern = anchored.map(|pattern| Regex::new(&pattern)).transpose();
                Provider::Environment(
                    pattern.map_err(|source| ProviderError::Pattern { name: name.clone(), source })?,
                )
            }
            Some("FileConfigProvider") => Provider::File(allowed()),
            Some("DirectoryConfigProvider") => Provider::Directory(allowed()),
            Some(_) | None => return Err(ProviderError::UnknownClass { name, class: class.clone() }),
        };
        providers.insert(name, provider);
    }
    Ok(providers)
}

/// A reference is `${provider:key}` or `${provider:path:key}`.
fn resolve_text(
    text: &str,
    providers: &BTreeMap<String, Provider>,
    outside: &dyn Outside,
) -> Result<String, ProviderError> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        resolved.push_str(before);
        let Some((inner, after)) = behind.split_once('}') else {
            rest = &rest[before.len()..];
            break;
        };
        let reference = format!("${{{inner}}}");
        match inner.split_once(':').and_then(|(name, of)| Some((providers.get(name)?, of))) {
            Some((provider, of)) => {
                let value = provider.value(of, &reference, outside)?;
                resolved.push_str(value.as_deref().unwrap_or(&reference));
            }
            None => resolved.push_str(&reference),
        }
        rest = after;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

impl Provider {
    /// The value behind `of`, which is `key` or `path:key`; `None` where there is none or it is not allowed.
    fn value(
        &self,
        of: &str,
        reference: &str,
        outside: &dyn Outside,
    ) -> Result<Option<String>, ProviderError> {
        let (path, key) = of.split_once(':').unwrap_or(("", of));
        let read = |path: &Path| {
            outside.file(path).map_err(|source| ProviderError::File {
                path: path.to_owned(),
                reference: reference.to_owned(),
                source,
            })
        };
        match self {
            Provider::Environment(pattern) => {
                let is_allowed = pattern.as_ref().is_none_or(|pattern| pattern.is_match(key));
                Ok(if is_allowed { outside.variable(key) } else { None })
            }
            Provider::File(allowed) | Provider::Directory(allowed)
                if path.is_empty() || !is_allowed(Path::new(path), allowed) =>
            {
                Ok(None)
            }
            Provider::File(_) => {
                let path = Path::new(path);
                let properties = Properties::from_bytes(&read(path)?)
                    .map_err(|source| ProviderError::Text { path: path.to_owned(), source })?;
                Ok(properties.settings().remove(key))
            }
            Provider::Directory(_) if key.contains(['/', '\\']) => Ok(None),
            Provider::Directory(_) => {
                let content = read(&Path::new(path).join(key))?;
                Ok(Some(String::from_utf8_lossy(&content).into_owned()))
            }
        }
    }
}

/// Whether the path lies in one of the allowed ones, without a step upwards. An empty list allows all.
fn is_allowed(path: &Path, allowed: &[PathBuf]) -> bool {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    allowed.is_empty() || (!climbs && allowed.iter().any(|root| path.starts_with(root)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One variable and one file.
    struct Desk;

    impl Outside for Desk {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "PORT").then(|| "9092".to_owned())
        }

        fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
            match path.to_str() {
                Some("/secrets/app.properties") => Ok(b"password=x y\n".to_vec()),
                Some("/secrets/token") => Ok(b"abc".to_vec()),
                _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
            }
        }
    }

    const DECLARED: [(&str, &str); 4] = [
        ("config.providers", "env,file,dir"),
        ("config.providers.env.class", "org.apache.kafka.common.config.provider.EnvVarConfigProvider"),
        ("config.providers.file.class", "org.apache.kafka.common.config.provider.FileConfigProvider"),
        ("config.providers.dir.class", "org.apache.kafka.common.config.provider.DirectoryConfigProvider"),
    ];

    fn resolve(text: &str, more: &[(&str, &str)]) -> Result<String, String> {
        let pairs = DECLARED.iter().chain(more).copied().chain(std::iter::once(("k", text)));
        let settings = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        resolve_references(&settings, &Desk)
            .map(|mut all| all.remove("k").unwrap())
            .map_err(|e| e.to_string())
    }

    /// CFG-10
    #[test]
    fn references_are_replaced_by_what_they_name() {
        let cases = [
            ("PLAINTEXT://:${env:PORT}", "PLAINTEXT://:9092"),
            ("${env:PORT}${env:PORT}", "90929092"),
            ("${file:/secrets/app.properties:password}!", "x y!"),
            ("${dir:/secrets:token}", "abc"),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text, &[]).as_deref(), Ok(expected), "{text}");
        }
    }

    /// CFG-10
    #[test]
    fn what_is_not_found_stays_as_it_stands() {
        for text in [
            "${env:NOPE}",
            "${vault:a:b}",
            "${file:/secrets/app.properties:nope}",
            "${dir:/secrets:../etc}",
            "${env",
            "a}b$",
            "${}",
        ] {
            assert_eq!(resolve(text, &[]).as_deref(), Ok(text), "{text}");
        }
    }

    /// CFG-10
    #[test]
    fn providers_give_only_what_their_parameters_allow() {
        let pattern = [("config.providers.env.param.allowlist.pattern", "OTTLA_.*")];
        assert_eq!(resolve("${env:PORT}", &pattern).as_deref(), Ok("${env:PORT}"));
        let paths = [("config.providers.file.param.allowed.paths", "/other")];
        let reference = "${file:/secrets/app.properties:password}";
        assert_eq!(resolve(reference, &paths).as_deref(), Ok(reference));
        let climbing = "${file:/other/../secrets/app.properties:password}";
        assert_eq!(resolve(climbing, &paths).as_deref(), Ok(climbing));
    }

    /// CFG-10
    #[test]
    fn a_provider_that_cannot_work_is_told() {
        let missing = resolve("${file:/nope:key}", &[]).unwrap_err();
        assert_eq!(
            missing,
            "could not read properties from file /nope, which ${file:/nope:key} names: no such file"
        );
        let unknown = resolve("", &[("config.providers.env.class", "com.example.Vault")]).unwrap_err();
        assert!(
            unknown.starts_with("config.providers.env.class is com.example.Vault; known are"),
            "{unknown}"
        );
        let unset = resolve("", &[("config.providers", "vault")]).unwrap_err();
        assert_eq!(unset, "config.providers names 'vault', but config.providers.vault.class is not set");
    }

    /// CFG-10
    #[test]
    fn nothing_is_replaced_where_no_provider_is_declared() {
        let settings = Settings::from([("k".to_owned(), "${env:PORT}".to_owned())]);
        assert_eq!(resolve_references(&settings, &Desk).unwrap(), settings);
    }
}
