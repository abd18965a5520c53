//! Commands about configs: describe, change, replace, list.
//!
//! ```text
//! describe VERSION KIND NAME [KEY]…                       NAME: - for none; with keys, synonyms are shown
//! alter VERSION [validate] [KIND NAME [OPERATION:KEY=VALUE]… [/ …]]
//! replace VERSION [validate] [KIND NAME [KEY=VALUE]… [/ …]]
//! resources VERSION [KIND]…
//! ```

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse, alter_configs_request, describe_configs_request, describe_configs_response,
    incremental_alter_configs_request,
};

use super::{Script, error_text, flag, value};

impl Script {
    pub(super) async fn about_configs(&mut self, name: &str, version: i16, args: &[&str]) -> Vec<String> {
        match name {
            "describe" => self.describe(version, args).await,
            "alter" => self.alter(version, args).await,
            "replace" => self.replace(version, args).await,
            _ => self.resources(version, args).await,
        }
    }

    async fn describe(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let [kind, name, keys @ ..] = args else { panic!("kind and name are missing") };
        let resource = describe_configs_request::DescribeConfigsResource {
            resource_type: kind.parse().unwrap(),
            resource_name: plain(name),
            configuration_keys: (!keys.is_empty())
                .then(|| keys.iter().map(|key| (*key).to_owned()).collect()),
        };
        let answer = self.describe_raw(version, resource).await;
        let error = error_text(answer.error_code, answer.error_message.as_deref());
        let mut lines = vec![format!("{} '{}' {error}", answer.resource_type, answer.resource_name)];
        if keys.is_empty() {
            lines.push(format!("  {} configs", answer.configs.len()));
        }
        let mut rows: Vec<String> = answer
            .configs
            .iter()
            .filter(|row| !keys.is_empty() || row.config_source != 5)
            .map(config_text)
            .collect();
        rows.sort();
        lines.extend(rows);
        lines
    }

    /// Everything the answer says of one resource.
    pub async fn describe_raw(
        &mut self,
        version: i16,
        resource: describe_configs_request::DescribeConfigsResource,
    ) -> describe_configs_response::DescribeConfigsResult {
        let request = DescribeConfigsRequest {
            resources: vec![resource],
            include_synonyms: true,
            include_documentation: version >= 3,
        };
        let answer: DescribeConfigsResponse = self.ask(ApiKey::DescribeConfigs, version, &request).await;
        let [row] = answer.results.try_into().unwrap();
        row
    }

    async fn alter(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let validate_only = flag(&mut args, "validate");
        let resource = |words: &[&str]| {
            let [kind, name, changes @ ..] = words else { panic!("kind and name are missing") };
            let change = |text: &&str| {
                let (operation, pair) = text.split_once(':').unwrap();
                let (name, value) = pair_of(pair);
                let config_operation = operation.parse().unwrap();
                incremental_alter_configs_request::AlterableConfig { name, config_operation, value }
            };
            incremental_alter_configs_request::AlterConfigsResource {
                resource_type: kind.parse().unwrap(),
                resource_name: plain(name),
                configs: changes.iter().map(change).collect(),
            }
        };
        let resources = args.split(|word| *word == "/").map(resource).collect();
        let request = IncrementalAlterConfigsRequest { resources, validate_only };
        let answer: IncrementalAlterConfigsResponse =
            self.ask(ApiKey::IncrementalAlterConfigs, version, &request).await;
        let rows = answer.responses.iter();
        let mut lines: Vec<String> = rows
            .map(|row| {
                let error = error_text(row.error_code, row.error_message.as_deref());
                format!("{} '{}' {error}", row.resource_type, row.resource_name)
            })
            .collect();
        lines.sort();
        lines
    }

    async fn replace(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let validate_only = flag(&mut args, "validate");
        let resource = |words: &[&str]| {
            let [kind, name, values @ ..] = words else { panic!("kind and name are missing") };
            let config = |text: &&str| {
                let (name, value) = pair_of(text);
                alter_configs_request::AlterableConfig { name, value }
            };
            alter_configs_request::AlterConfigsResource {
                resource_type: kind.parse().unwrap(),
                resource_name: plain(name),
                configs: values.iter().map(config).collect(),
            }
        };
        let resources = args.split(|word| *word == "/").map(resource).collect();
        let request = AlterConfigsRequest { resources, validate_only };
        let answer: AlterConfigsResponse = self.ask(ApiKey::AlterConfigs, version, &request).await;
        let rows = answer.responses.iter();
        let mut lines: Vec<String> = rows
            .map(|row| {
                let error = error_text(row.error_code, row.error_message.as_deref());
                format!("{} '{}' {error}", row.resource_type, row.resource_name)
            })
            .collect();
        lines.sort();
        lines
    }

    async fn resources(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let resource_types = args.iter().map(|kind| kind.parse().unwrap()).collect();
        let request = ListConfigResourcesRequest { resource_types };
        let answer: ListConfigResourcesResponse =
            self.ask(ApiKey::ListConfigResources, version, &request).await;
        let rows = answer.config_resources.iter();
        let mut lines: Vec<String> =
            rows.map(|row| format!("  {} {}", row.resource_type, row.resource_name)).collect();
        lines.sort();
        lines.insert(0, answer.error_code.to_string());
        lines
    }
}

fn plain(name: &str) -> String {
    if name == "-" { String::new() } else { name.to_owned() }
}

fn pair_of(text: &str) -> (String, Option<String>) {
    let (name, text) = text.split_once('=').unwrap();
    (name.to_owned(), value(text))
}

fn config_text(row: &describe_configs_response::DescribeConfigsResourceResult) -> String {
    let value = |value: &Option<String>| value.as_deref().unwrap_or("~").to_owned();
    let synonyms: Vec<String> = row
        .synonyms
        .iter()
        .map(|synonym| format!("{}={}({})", synonym.name, value(&synonym.value), synonym.source))
        .collect();
    let flags = [(row.read_only, " read-only"), (row.is_sensitive, " sensitive")];
    let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, text)| *text).collect();
    let documented =
        if row.documentation.as_ref().is_some_and(|text| !text.is_empty()) { " doc" } else { "" };
    format!(
        "  {}={}({}) type={}{flags}{documented} [{}]",
        row.name,
        value(&row.value),
        row.config_source,
        row.config_type,
        synonyms.join(" ")
    )
}
