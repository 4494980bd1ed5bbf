"""Two hundred secrets in the shapes in which they come, each with the part that may be nowhere in clear.

Rules for this file: none of them is anybody's; they are put together here from a counter, so that no scanner takes this file for
a leak.
"""
# ruff: noqa: RUF001 - several languages have their own signs

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
    ("json in json", '{"q": "line\\nsk-proj-', alnum(40), '"}'), ("json twice", '"{\\"q\\": \\"a\\\\nghp_', alnum(36), '\\"}"'),
    ("json escape", '{"q": "x\\tAKIA', upper(16), '"}'), ("escaped quote", "\\u0022sk-proj-", alnum(40), "\\u0022"), ("terminal", "\x1b[0;31msk-proj-", alnum(40), "\x1b[0m"),
    ("percent token", "https://h/x?u=https%3A%2F%2Fa%2F%3Fk%3Dsk-proj-", alnum(40), ""), ("percent twice", "u=k%253Dghp_", alnum(36), ""),
    ("percent password", "r=x%3Fpassword%3D", _WORD, "%26y%3D1"), ("percent url", "r=https%3A%2F%2Fbob%3A", _WORD, "%40host%2F"),
    ("html", "password=&quot;", _WORD, "&quot;"), ("yaml block", "password: >-\n  ", _WORD, "\n"), ("json list", '{"password": ["', _WORD, '"]}'),
    ("name and value", '{"name": "DB_PASSWORD", "value": "', _WORD, '"}'), ("kubernetes", "- name: API_TOKEN\n  value: ", _WORD, ""),
    ("header bytes", "[(b'x-api-key', b'", _WORD, "')]"), ("arguments", '["--api-key", "', _WORD, '"]'), ("german", "Das Kennwort lautet ", _WORD, " heute"),
    ("chinese", "密码：", _WORD, ""), ("chinese sentence", "我的密码是", _WORD, "，谢谢"), ("spanish", "contraseña: ", _WORD, ""), ("russian", "пароль: ", _WORD, ""),
    ("french", "mot de passe : ", _WORD, ""), ("wide colon", "password：", _WORD, ""), ("markdown", "**Password:** ", _WORD, ""), ("table", "| password | ", _WORD, " |"),
    ("backticks", "client secret `", _WORD, "`"), ("secret object", "api_key=SecretStr('", _WORD, "')"), ("refused key", "Incorrect API key provided: ", _WORD, ""),
    ("pem in code", "('-----BEGIN PRIVATE KEY-----\\n'\n 'MIIEvQ", alnum(40) + "\\n'\n '" + hexa(64), "\\n-----END PRIVATE KEY-----')"),
    ("pem lower case", "-----begin private key-----\n", alnum(40), "\n-----end private key-----"), ("pem percent", "-----BEGIN%20PRIVATE%20KEY-----%0A", alnum(40), "%0A-----END%20PRIVATE%20KEY-----"),
    ("ssh2", "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n", alnum(64), "\n---- END SSH2 ENCRYPTED PRIVATE KEY ----"),
    ("pem in base64", "", b64encode(b"-----BEGIN RSA PRIVATE KEY-----\n" + alnum(64).encode()).decode(), ""),
    ("json in base64", "", b64encode(b'{"user": "someone", "password": "hunter2aB3"}').decode(), ""), ("key in base64", "", b64encode(b"use sk-proj-" + alnum(40).encode()).decode(), ""),
    ("oracle", "jdbc:oracle:thin:", "someone/" + _WORD, "@//db:1521/x"), ("wifi", "WIFI:S:net;T:WPA;P:", _WORD, ";;"), ("token before a host", "https://", hexa(32), "@sentry.example/1"),
    ("digest", 'Authorization: Digest username="bob", response="', hexa(32), '"\n'), ("seed phrase", "seed phrase: ", "abandon ability able about above absent absorb abstract absurd abuse access accident", "."),
    ("private key in hex", "private key: 0x", hexa(64), ""), ("bcrypt", "$2b$12$", alnum(53), ""), ("shadow", "root:$6$saltsalt$", alnum(86), ":19000:0"), ("htpasswd", "bob:$apr1$abcdefgh$", alnum(22), ""),
    ("docker login", '{"auths": {"x": {"auth": "', _BASIC, '"}}}'), ("zapier", "https://hooks.zapier.com/hooks/catch/", "123456/abcdefg", "/"), ("make", "https://hook.eu1.make.com/", alnum(32), ""),
    ("openai login", "sess-", alnum(40), ""), ("together", "tgp_v1_", alnum(43), ""), ("slack browser", "xoxc-", "123456789012-" + alnum(40), ""), ("slack cookie", "d=xoxd-", alnum(60), ""),
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
    # Prose of several languages, code, paths, hashes, pictures.
    "Bitte setzen Sie Ihr Passwort zurück: klicken Sie auf den Link.", "Das Passwort ist falsch.",
    "Das Kennwort lautet anders als gestern.", "Der Schlüssel: siehe Handbuch Seite 12.", "请重置您的密码，点击下面的链接。",
    "密码不正确，请重试", "这是一个关于令牌和密钥管理的文档。", "密码是必填项", "你好，世界！今天天气很好。", "La contraseña es obligatoria",
    "Le mot de passe est incorrect.", "The token is valid for 15 minutes.", "The password is required.",
    "The secret is out.", "Our secret ingredient is love", "Token usage: 1500 of 4096", "token: str",
    "def f(token: str, *, key: bytes = b'') -> None:", "if password is None:", "password = getpass()",
    "secrets.token_hex(16)", "import secrets", "from cryptography.hazmat import key", 'd["key"] = d["other"]',
    "SELECT password FROM users", "api_key=...", "pip install tokenizers==0.21.0", "tokenizer.json",
    "AutoTokenizer.from_pretrained('x')", "The basic idea: start small", "basic arithmetic 101",
    "bearer token authentication explained", "Digest authentication is old", 'She said: "The key is under the mat"',
    "key: value", "keys: [1, 2, 3]", "| name | type |\n|---|---|\n| token | string |",
    "| password | string | required |", "d41d8cd98f00b204e9800998ecf8427e",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "550e8400-e29b-41d4-a716-446655440000",
    "commit 069b393a1b2c3d4e5f60718293a4b5c6d7e8f901", "3.14159265358979", "+49 89 1234567", "1,234,567.89 €",
    "$100 and $200", "$1,000$ or $x^2$", "Price: $5.99/month", "$$E=mc^2$$", "https://example.com/a/b?c=d&e=f#g",
    "https://user@example.com/", "git@github.com:org/repo.git", "https://github.com/org/repo/blob/main/README.md",
    "http://localhost:8080/v1/chat/completions", "s3://bucket/path/to/object.parquet",
    "file:///usr/local/lib/python3.11/site-packages/x.py", "mailto:a@b.example",
    "https://de.wikipedia.org/wiki/Schl%C3%BCssel", "https://x/?redirect=https%3A%2F%2Fexample.com%2Fpath",
    "data:image/png;base64,AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2en6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5+jp6uvs7e7v8PHy8/T19vf4+fr7/P3+/w==",
    "SGVsbG8sIHRoaXMgaXMgYW4gb3JkaW5hcnkgc2VudGVuY2UgaW4gYmFzZTY0Lg==", "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=",
    '{"role": "user", "content": "What is the capital of France?"}',
    '{"usage": {"prompt_tokens": 12, "completion_tokens": 5}}', '{"finish_reason": "stop", "index": 0}',
    "C:\\new\\table\\readme.txt", "\\n\\nHuman: hi\\n\\nAssistant:", "first\\nsecond\\tthird", "100%",
    "%d items, 50%25 done", "a%20b%3Dc", "if x[0]: m", "sessid", "the session is over: 5", "seed=42",
    "random seed: 12345", "pin code required", "otp app", "signature: def f()", "wifi: on", "auth: {type: oauth}",
    '"auth": "oauth2"', "mnemonic device", "Recovery phrase: write it down.", "connection string is missing",
    "The user: bob", "-u root", "git push -u origin main", "curl --user-agent x", "hook.on_completion()",
    "MTA: mail transfer agent", "NDA. signed", "oth.er", "MDT time zone", "pat on the back", "sess-ion",
    "Authorization failed", "author: Jane Doe", "Zwei Schlüssel: Haus- und Autoschlüssel",
    "name: token\nvalue of money", "password\nvalue: unknown", "(token, value)", '("token", "value")',
    '["password", "email", "user_name"]', "sort(key=lambda x: x[1])", "max(d, key=d.get)", "key=None", "Tokens/s: 42.5",
    "token_type: bearer", '"token_type": "Bearer"', "access: read-only", "private key encryption",
    "public key: see below", "access key: optional", "the api key is optional", "An API key was provided.",
    "the password was provided by Bob", "token `foo` expected", "the secret `name` field", "Token | Meaning",
    "3f9a0c7e1b8d2465", "arn:aws:iam::123456789012:role/x", "1//2 = 0", "a[1:AA]", "x:aaa",
]  # fmt: skip
