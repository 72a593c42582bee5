#' Settings
#'
#' @description
#' Each setting is found at the first of these places: an option of the session, such as
#' `options(keycap.timeout = 120)`; an environment variable, such as `KEYCAP_TIMEOUT`; your file `config.toml` in
#' `tools::R_user_dir("keycap", "config")`; the institution's file (`/etc/keycap/config.toml`, on macOS
#' `/Library/Application Support/keycap/config.toml`, on Windows `keycap/config.toml` in the folder
#' that the system has for the data of programs, as a rule `C:/ProgramData`); a built-in value. Nothing in a session
#' names another file in its place.
#' What the institution's file names in `locked` nobody outranks.
#'
#' | setting | what it is | built-in value |
#' |---|---|---|
#' | `timeout` | seconds to wait for a whole answer | 60 |
#' | `connect_timeout` | seconds to wait for a connection | 10 |
#' | `ca_file` | a PEM file with the institution's certificate authorities, trusted besides the system's | none |
#' | `stores` | the stores in the order of look-up, such as `"env,keyring"`; there are `env`, `keyring`, `vault`, `aws` and `command` | `env`, `keyring` |
#' | `forbidden_stores` | stores that are never asked on this machine; the institution's file only | none |
#' | `keyring.short_name` | whether tokens are put into the keyring under the project's short name too | `false` |
#' | `vault.address` | the address of HashiCorp Vault or OpenBao, such as `https://vault.example.org:8200` (also `VAULT_ADDR`) | none |
#' | `vault.namespace` | its namespace (also `VAULT_NAMESPACE`) | none |
#' | `vault.mount`, `vault.kv` | where its KV secrets engine is mounted, and the engine's version | `secret`, 2 |
#' | `vault.path`, `vault.field` | the path of a token below the mount, and the field that holds it | `redcap/{token_name}`, `token` |
#' | `vault.version` | the version of the secret | the newest |
#' | `vault.auth` | how keycap logs in: `token` (`VAULT_TOKEN`, or the file `vault.token_file`), `approle`, `kubernetes` or `jwt`; with `vault.auth_mount`, `vault.role`, `vault.role_id`, `vault.secret_id_file`, `vault.wrapped_secret_id_file`, `vault.jwt_file` as the login needs them | `token` |
#' | `vault.ca_file` | a PEM file with the vault's certificate authorities | `ca_file` |
#' | `aws.region`, `aws.profile` | the region of AWS Secrets Manager (also `AWS_REGION`, or the profile's), and the profile in the AWS configuration files (also `AWS_PROFILE`); a `credential_process` is run from `~/.aws/config` and `~/.aws/credentials` alone, not from files that `AWS_CONFIG_FILE` or `AWS_SHARED_CREDENTIALS_FILE` name | as AWS's own programs have it |
#' | `aws.endpoint` | its address, where it is not the region's own (also `AWS_ENDPOINT_URL_SECRETS_MANAGER`) | the region's own |
#' | `aws.name`, `aws.field` | the name of a secret, and the field of a JSON secret that holds the token | `redcap/{token_name}`, the whole secret |
#' | `aws.stage` | which version is read: `AWSCURRENT` or `AWSPREVIOUS` | `AWSCURRENT` |
#' | `command` | a table, in a settings file only: a program that prints one token, by a `preset` or by `program` and `arguments` | none |
#' | `token_form` | the form of a token: `redcap`, or a length such as `40:+/=` with the characters allowed besides letters and digits; 20 characters or more | `redcap` |
#' | `retries` | how often a read is tried again when the server or the connection fails | 2 |
#' | `limit` | requests to one server in any 60 seconds, by all R processes of one user; REDCap bans an address at 600 | 500 |
#' | `limit_folder` | a folder through which several users share the limit; it must exist and be writable for all of them | none |
#' | `audit_dir` | the folder of the audit log; when it changes, move the files of the log there before the next call | `audit` in `tools::R_user_dir("keycap", "data")` |
#' | `audit_second` | a second folder in which the log is kept as well, or `syslog`: one of the two is enough for a call, and the loss of the other is an entry and a warning | none |
#' | `audit_segment_mb` | the size in megabytes from which on the log goes on in another file | 64 |
#' | `anchors` | a list of tables, in a settings file only: the places that keep checkpoints of the audit log, see [checkpoint_audit_log()] | none |
#' | `checkpoint_every_entries`, `checkpoint_every_hours` | after how much the next checkpoint is taken, where there is an anchor or one of them is set | 1000, 24 |
#' | `anchor_limit_entries`, `anchor_limit_hours` | how much there may be without an anchor in reach before calls are refused | none |
#' | `audit_key_store` | where the key that signs checkpoints is kept: a store, or `file` | the first store that takes it |
#' | `audit_group_readable` | `true`: the group of the log's folder may read it, with its public keys, checkpoints and torn tails; the institution's file only | `false` |
#' | `audit_plain_record_ids` | `true`: ids of records that are written or deleted stand in the log as they are, not as digests; the institution's file only | `false` |
#' | `policy` | a table, in a settings file only: what tokens have to comply with, see [set_policy()]; of both files the strictest counts | none |
#' | `project_policies` | a table with a policy for each of some projects, by short name; the same | none |
#' | `servers` | origins that every token of the machine may go to; the institution's file only | none |
#' | `locked` | settings that nobody outranks, nor do the variables of AWS's own that say the same; the institution's file only | none |
#'
#' `https_proxy`, `all_proxy` and `no_proxy` are honoured as other programs do; this machine is never reached through a
#' proxy. Whether certificates are checked is not a setting: they always are.
#'
#' Two options are for R alone: `keycap.quiet = TRUE` silences what keycap prints, and `keycap.progress` says whether an
#' export shows its progress; without it, it does so in an interactive session.
#'
#' @examples
#' # The institution's file, or yours, in TOML:
#' cat(
#'   'timeout = 120', 'ca_file = "/etc/ssl/hospital-ca.pem"',
#'   'stores = ["env", "command"]', '[command]', 'preset = "pass"',
#'   sep = "\n"
#' )
#' # Those of the stores are written by configure_stores(), and stores() shows where each was found.
#' @seealso [configure_stores()], [test_project_token()], [keycap_conditions]
#' @name keycap_settings
NULL
