"""Two hundred secrets in the shapes in which they come, each with the part that may be nowhere in clear.

Rules for this file: none of them is anybody's; they are put together here from a counter, so that no scanner takes this file for
a leak.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Planted:
    """A text with a secret in it, and the secret."""

    name: str
    text: str
    secret: str


_ALNUM: Final = "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW0xYz"


def _made(length: int, alphabet: str = _ALNUM) -> str:
    return (alphabet * (length // len(alphabet) + 1))[:length]


def alnum(length: int) -> str:
    return _made(length)


def hexa(length: int) -> str:
    return _made(length, "3f9a0c7e1b8d2465")


def upper(length: int) -> str:
    return _made(length, "Q7RZ2XK4WP9TJ6YB")


def digits(length: int) -> str:
    return _made(length, "8162937405")


# Tokens by their prefix: issuer, prefix, the rest.
_TOKENS: Final = [
    ("openai", "sk-", alnum(48)), ("openai project", "sk-proj-", alnum(60)), ("openai service", "sk-svcacct-", alnum(50)),
    ("openai admin", "sk-admin-", alnum(50)), ("anthropic", "sk-ant-api03-", alnum(90)), ("openrouter", "sk-or-v1-", hexa(64)),
    ("deepseek", "sk-", hexa(32)), ("langfuse secret", "sk-lf-", "1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901"),
    ("langfuse public", "pk-lf-", "1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901"), ("groq", "gsk_", alnum(52)), ("xai", "xai-", alnum(80)),
    ("perplexity", "pplx-", alnum(48)), ("hugging face", "hf_", alnum(34)), ("replicate", "r8_", alnum(37)),
    ("nvidia", "nvapi-", alnum(64)), ("fireworks", "fw_", alnum(24)), ("tavily", "tvly-", alnum(32)), ("cerebras", "csk-", alnum(48)),
    ("jina", "jina_", alnum(60)), ("voyage", "pa-", alnum(43)), ("langsmith", "lsv2_pt_", hexa(32) + "_" + hexa(10)),
    ("langsmith service", "lsv2_sk_", hexa(32) + "_" + hexa(10)), ("langsmith old", "ls__", hexa(32)), ("pinecone", "pcsk_", alnum(60)),
    ("hugging face org", "api_org_", alnum(34)), ("databricks", "dapi", hexa(32)), ("google", "AIza", alnum(35)),
    ("google oauth", "ya29.", alnum(80)), ("google refresh", "1//0", alnum(60)), ("google client", "GOCSPX-", alnum(28)),
    ("bedrock", "ABSKQmVkcm9ja0FQSUtleS", alnum(90)), ("aws", "AKIA", upper(16)), ("aws session", "ASIA", upper(16)),
    ("aws role", "AROA", upper(16)), ("aws user", "AIDA", upper(16)), ("alibaba", "LTAI", alnum(20)), ("tencent", "AKID", alnum(32)),
    ("digitalocean", "dop_v1_", hexa(64)), ("digitalocean oauth", "doo_v1_", hexa(64)), ("digitalocean refresh", "dor_v1_", hexa(64)),
    ("heroku", "HRKU-", alnum(58)), ("fly", "fm2_", alnum(80)), ("yandex", "AQVN", alnum(36)),
    ("github", "ghp_", alnum(36)), ("github oauth", "gho_", alnum(36)), ("github user", "ghu_", alnum(36)), ("github app", "ghs_", alnum(36)),
    ("github refresh", "ghr_", alnum(70)), ("github fine-grained", "github_pat_", alnum(22) + "_" + alnum(59)),
    ("gitlab", "glpat-", alnum(20)), ("gitlab deploy", "gldt-", alnum(20)), ("gitlab runner", "glrt-", alnum(20)),
    ("gitlab ci", "glcbt-", "64_" + alnum(20)), ("gitlab trigger", "glptt-", hexa(40)), ("gitlab feed", "glft-", alnum(20)),
    ("gitlab agent", "glagent-", alnum(50)), ("gitlab oauth", "gloas-", hexa(64)), ("npm", "npm_", alnum(36)),
    ("pypi", "pypi-", "AgEIcHlwaS5vcmc" + alnum(70)), ("rubygems", "rubygems_", hexa(48)), ("nuget", "oy2", _made(43, "abc7def2ghi")),
    ("docker", "dckr_pat_", alnum(27) + "x" * 5), ("docker org", "dckr_oat_", alnum(32)), ("buildkite", "bkua_", hexa(40)),
    ("circleci", "CCIPAT_", alnum(22) + "_" + hexa(40)), ("crates.io", "cio", alnum(32)), ("terraform", "atlasv1.", alnum(67)),
    ("vault", "hvs.", alnum(90)), ("vault batch", "hvb.", alnum(130)), ("doppler", "dp.pt.", alnum(43)),
    ("doppler service", "dp.st.", "dev." + alnum(43)), ("pulumi", "pul-", hexa(40)), ("prefect", "pnu_", alnum(36)),
    ("sourcegraph", "sgp_", hexa(40)), ("postman", "PMAK-", hexa(24) + "-" + hexa(34)), ("readme", "rdme_", hexa(70)),
    ("contentful", "CFPAT-", alnum(43)),
    ("slack bot", "xoxb-", "123456789012-123456789012-" + alnum(24)), ("slack user", "xoxp-", "1234567890-" + hexa(32)),
    ("slack app", "xapp-", "1-A0123-" + digits(12) + "-" + hexa(30)), ("slack refresh", "xoxe-", "1-" + alnum(60)),
    ("slack config", "xoxe.xoxp-", "1-" + alnum(60)), ("slack workspace", "xoxa-", "2-" + alnum(30)),
    ("sendgrid", "SG.", alnum(22) + "." + alnum(43)), ("mailgun", "key-", hexa(32)), ("twilio", "SK", hexa(32)),
    ("brevo", "xkeysib-", hexa(64) + "-" + alnum(16)), ("brevo smtp", "xsmtpsib-", hexa(64)),
    ("stripe", "sk_live_", alnum(24)), ("stripe test", "sk_test_", alnum(24)), ("stripe restricted", "rk_live_", alnum(24)),
    ("stripe webhook", "whsec_", alnum(32)), ("stripe public", "pk_live_", alnum(24)), ("elevenlabs", "sk_", hexa(48)),
    ("square", "sq0atp-", alnum(22)), ("square secret", "sq0csp-", alnum(43)), ("square personal", "EAAAE", alnum(60)),
    ("shopify", "shpat_", hexa(32)), ("shopify app", "shpss_", hexa(32)), ("shopify custom", "shpca_", hexa(32)),
    ("shopify private", "shppa_", hexa(32)), ("paypal", "access_token$production$", alnum(16) + "$" + hexa(32)),
    ("plaid", "access-production-", "1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901"), ("flutterwave", "FLWSECK_TEST-", hexa(32) + "-X"),
    ("new relic", "NRAK-", upper(27)), ("new relic browser", "NRJS-", hexa(19)), ("grafana cloud", "glc_", alnum(60)),
    ("grafana", "glsa_", alnum(32) + "_" + hexa(8)), ("sentry", "sntrys_", alnum(80)), ("sentry user", "sntryu_", hexa(64)),
    ("posthog", "phc_", alnum(43)), ("posthog personal", "phx_", alnum(43)),
    ("dynatrace", "dt0c01.", upper(24) + "." + upper(64)), ("linear", "lin_api_", alnum(40)), ("linear oauth", "lin_oauth_", hexa(64)),
    ("notion", "secret_", alnum(43)), ("notion new", "ntn_", alnum(46)), ("figma", "figd_", alnum(43)), ("netlify", "nfp_", alnum(40)),
    ("supabase", "sbp_", hexa(40)), ("supabase secret", "sb_secret_", alnum(31)), ("neon", "napi_", alnum(64)),
    ("typeform", "tfp_", alnum(59)), ("frame.io", "fio-u-", alnum(64)), ("render", "rnd_", alnum(32)),
    ("planetscale", "pscale_tkn_", alnum(43)), ("planetscale password", "pscale_pw_", alnum(43)),
    ("planetscale oauth", "pscale_oauth_", alnum(43)), ("duffel", "duffel_live_", alnum(43)), ("adafruit", "aio_", alnum(28)),
    ("clojars", "CLOJARS_", hexa(60)), ("easypost", "EZAK", alnum(54)), ("easypost test", "EZTK", alnum(54)), ("snyk", "snyk_", alnum(36)),
    ("atlassian", "ATATT3", alnum(180)), ("atlassian ci", "ATCTT3", alnum(180)), ("bitbucket", "ATBB", alnum(32)),
    ("airtable", "pat", alnum(14) + "." + hexa(64)), ("1password", "ops_eyJ", alnum(120)), ("age", "AGE-SECRET-KEY-1", upper(58)),
    ("telegram", "123456789:AA", alnum(33)), ("discord", "MT", alnum(24) + ".Gx1y2z." + alnum(38)),
]  # fmt: skip

_BODY: Final = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" + alnum(64)
_JWT: Final = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0{alnum(12)}.{alnum(43)}"
_BASIC: Final = b64encode(b"someone:hunter2-and-more").decode()
_WORD: Final = "hunter2" + alnum(9)

# A text round a secret: name, before, secret, after.
_AROUND: Final = [
    *(
        (f"pem {kind}".lower(), f"-----BEGIN {kind}-----\n", f"{_BODY}\n{alnum(64)}", f"\n-----END {kind}-----\n")
        for kind in ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "DSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK")
    ),
    ("pem in a service account", '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\n', _BODY, '\\n-----END PRIVATE KEY-----\\n"}'),
    ("pem without an end", "-----BEGIN RSA PRIVATE KEY-----\n", _BODY, ""),
    ("putty", "Private-Lines: 8\n", _BODY, ""),
    ("jwt", "", _JWT, ""), ("bearer", "Authorization: Bearer ", alnum(40), ""), ("bearer jwt", "authorization: bearer ", _JWT, ""),
    ("basic", "Authorization: Basic ", _BASIC, ""), ("basic alone", "with Basic ", _BASIC, " it goes"),
    ("token header", "Authorization: Token token=", alnum(32), ""), ("header dict", "{'Authorization': 'Bearer ", alnum(40), "'}"),
    ("x-api-key", "x-api-key: ", alnum(32), ""), ("x-auth-token", "X-Auth-Token: ", hexa(40), ""), ("cookie", "Cookie: sid=", alnum(40), "; theme=dark"),
    ("set-cookie", "Set-Cookie: session=", alnum(40), "; Path=/"), ("proxy header", "Proxy-Authorization: Basic ", _BASIC, ""),
    ("url", "https://someone:", _WORD, "@host.example/path"), ("url without user", "redis://:", _WORD, "@cache:6379/0"),
    *(
        (scheme, f"{scheme}://app:", _WORD, "@db.example:5432/prod")
        for scheme in ("postgres", "postgresql+psycopg", "mysql", "mongodb+srv", "amqps", "mssql+pyodbc", "clickhouse", "snowflake", "ftp", "smtp", "ldap", "nats", "rediss", "kafka")
    ),
    ("password with a slash", "postgresql://app:", "p@ss/w:rd" + alnum(6), "@db/prod"),
    ("sql server", "Server=db;Database=x;User Id=sa;Password=", _WORD, ";Encrypt=true"), ("odbc", "DRIVER={X};UID=sa;PWD=", _WORD, ";"),
    ("azure storage", "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=", alnum(86) + "==", ";EndpointSuffix=core.windows.net"),
    ("azure service bus", "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=", alnum(43) + "=", ""),
    ("azure sas", "https://x.blob.core.windows.net/c?sv=2024-01-01&sp=r&sig=", alnum(40) + "%3D", "&se=2026"),
    ("aws presigned", "https://b.s3.amazonaws.com/k?X-Amz-Signature=", hexa(64), ""), ("aws credential", "?X-Amz-Credential=", "AKIA" + upper(16), "%2F2026"),
    ("aws secret", "aws_secret_access_key = ", alnum(40), ""), ("aws secret env", "export AWS_SECRET_ACCESS_KEY=", alnum(40), ""),
    ("aws session token", "aws_session_token=", alnum(200), ""), ("google maps", "https://maps.example/api?key=", alnum(39), "&q=x"),
    ("oauth code", "https://app.example/cb?code=", alnum(40), "&state=1"), ("query token", "https://api.example/v1?access_token=", alnum(40), ""),
    ("query api key", "GET /v1?q=1&api_key=", alnum(32), " HTTP/1.1"), ("password", "password=", _WORD, ""), ("pwd", "pwd: ", _WORD, ""),
    ("passwd", "passwd=", _WORD, " done"), ("passphrase", "passphrase: '", "correct horse battery", "'"), ("json password", '{"password": "', _WORD, '", "a": 1}'),
    ("json nested", '{"auth": {"user": "x", "pass": "', _WORD, '"}}'), ("escaped json", '"{\\"password\\": \\"', _WORD, '\\"}"'),
    ("json secret", '{"client_secret":"', alnum(30), '"}'), ("json api key", '{"apiKey":"', alnum(30), '"}'), ("json refresh", '{"refresh_token": "', alnum(60), '"}'),
    ("yaml", "db:\n  password: ", _WORD, "\n  host: x"), ("yaml key", "api_key: ", alnum(32), "\n"), ("env", "DB_PASSWORD=", _WORD, "\nB=1"),
    ("env secret", "CLIENT_SECRET=", alnum(32), ""), ("env token", "GITLAB_TOKEN=", alnum(20), ""), ("env key", "AZURE_OPENAI_API_KEY=", hexa(32), ""),
    ("cohere", "COHERE_API_KEY=", alnum(40), ""), ("datadog", "DD_API_KEY=", hexa(32), ""), ("encryption key", "ENCRYPTION_KEY=", hexa(64), ""),
    ("python", 'password = "', _WORD, '"'), ("python keyword", "connect(user='x', password='", _WORD, "')"), ("python token", "token='", alnum(32), "'"),
    ("option", "mysql --password=", _WORD, " -h db"), ("option with a blank", "psql --password ", _WORD, " -h db"), ("curl", "curl -u someone:", _WORD, " https://x"),
    ("xml", "<password>", _WORD, "</password>"), ("xml secret", "<clientSecret>", alnum(24), "</clientSecret>"), ("sql", "CREATE USER x IDENTIFIED BY '", _WORD, "'"),
    ("postgres sql", "ALTER ROLE x PASSWORD '", _WORD, "'"), ("pgpass", "db.example:5432:prod:app:", _WORD, ""), ("netrc", "machine x login y password ", _WORD, ""),
    ("sentence", "the password is ", _WORD, " for now"), ("otp", "otp: ", "481516", ""), ("slack hook", "https://hooks.slack.com/services/", "T0A1B2C3D/B0A1B2C3D/" + alnum(24), ""),
    ("discord hook", "https://discord.com/api/webhooks/", digits(18) + "/" + alnum(68), ""), ("teams hook", "https://x.webhook.office.com/webhookb2/", "1b2c3d4e-5f60-7182@" + alnum(30), ""),
]  # fmt: skip

PLANTED: Final = [
    *(Planted(name, f"use {prefix}{rest} now", rest) for name, prefix, rest in _TOKENS),
    *(Planted(name, f"{before}{secret}{after}", secret) for name, before, secret, after in _AROUND),
]
"""More than two hundred."""


def in_clear(said: str, planted: Planted) -> bool:
    """Tell whether the secret is in *said*, as it is or as JSON writes it, or any longer piece of it."""
    for secret in {planted.secret, json.dumps(planted.secret)[1:-1]}:
        piece = min(12, len(secret))
        if any(secret[at : at + piece] in said for at in range(len(secret) - piece + 1)):
            return True
    return False


# What is no secret, though it looks a little like one.
HARMLESS: Final = [
    "", "plain", "risk-free", "task-12", "https://host.example/path?page=2&size=10", "ghost", "bearer of news", "a basic understanding of it",
    "Reset your password: click the link below", "the secret of success is patience", "max_tokens=4096, temperature=0.7", "token_count: 12345",
    "tokens: 500", "eos_token: </s>", "pad_token_id=0", "primary_key: id", "foreign key constraint", "keyboard: qwerty", "monkey: 55abcd",
    "def get_token(self): ...", "password: str = None", "api_key: str | None = None", "secret: required", "class Password(BaseModel):", "hf_hub_download", "sk-learn",
    "1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "agent:1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901",
    "call_aB3dE5fG7hJ9kL2m", "chatcmpl-aB3dE5fG7hJ9kL2mN4", "toolu_01aB3dE5fG7hJ9kL", "run-1b2c3d4e", "gpt-5.2-mini-2026-08-07", "us-east-1",
    "branch:to:agent", "__pregel_pull", "SELECT * FROM users WHERE id = 5", "user@example.com", "4111 1111 1111 1111", "ratio 3:2", "at 10:30:45",
    "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "pin the tab", "signature verified", "session ended", "a[key] = value", "x = dict(key=1)",
    "for key, value in items:", "Authorization is needed", "cookie recipe: flour", "xoxo, love", "AKIA is a prefix", "the pass is closed",
]  # fmt: skip
