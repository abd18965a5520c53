//! Broker keys of authentication, encryption and authorization.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: broker settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast, Between, List, NonNullText, OneOf, OneOfIgnoringCase};
use crate::config::Emptiness::MayBeEmpty;
use crate::config::key::keys;

keys! {
    /// Broker keys of authentication, encryption and authorization.
    SECURITY:

    /// Class that decides who may do what; empty means everybody may do everything.
    "authorizer.class.name": String = "", NonNullText, ReadOnly, Low, Refused;
    /// Pause before a connection is closed whose authentication failed.
    "connection.failed.authentication.delay.ms": Int = "100", AtLeast(0), ReadOnly, Low, Later;
    /// Longest time between two authentications of one connection; 0 never asks again.
    "connections.max.reauth.ms": Long = "0", Any, ReadOnly, Medium, Later;
    /// Time between two searches for expired delegation tokens.
    "delegation.token.expiry.check.interval.ms": Long = "3600000", AtLeast(1), ReadOnly, Low, Later;
    /// Lifetime of a delegation token until it must be renewed.
    "delegation.token.expiry.time.ms": Long = "86400000", AtLeast(1), ReadOnly, Medium, Later;
    /// Lifetime of a delegation token beyond which it cannot be renewed.
    "delegation.token.max.lifetime.ms": Long = "604800000", AtLeast(1), ReadOnly, Medium, Later;
    /// Secret that signs delegation tokens; it must be the same on all nodes.
    "delegation.token.secret.key": Password null, Any, ReadOnly, Medium, Refused;
    /// Listeners that open before the authorizer is ready; here the authorizer is ready before any listener opens.
    "early.start.listeners": List null, List(MayBeEmpty), ReadOnly, High, Moot;
    /// Class that names the user of a connection; other Java classes than the default cannot run in this
    /// process.
    "principal.builder.class": Class = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Any, PerBroker, Medium, Refused;
    /// Class that answers SASL questions when this node is the client.
    "sasl.client.callback.handler.class": Class null, Any, ReadOnly, Medium, Refused;
    /// SASL mechanisms that clients may use.
    "sasl.enabled.mechanisms": List = "GSSAPI", List(MayBeEmpty), PerBroker, Medium, Refused;
    /// Login module and credentials in JAAS form.
    "sasl.jaas.config": Password null, Any, PerBroker, Medium, Refused;
    /// Path of Kerberos' `kinit`.
    "sasl.kerberos.kinit.cmd": String = "/usr/bin/kinit", Any, PerBroker, Medium, Refused;
    /// Least time between two Kerberos logins.
    "sasl.kerberos.min.time.before.relogin": Long = "60000", Any, PerBroker, Medium, Later;
    /// Rules that turn Kerberos principals into user names.
    "sasl.kerberos.principal.to.local.rules": List = "DEFAULT", List(MayBeEmpty), PerBroker, Medium, Refused;
    /// Kerberos service name of the brokers.
    "sasl.kerberos.service.name": String null, Any, PerBroker, Medium, Refused;
    /// Random share added to the time of renewal.
    "sasl.kerberos.ticket.renew.jitter": Double = "0.05", Any, PerBroker, Medium, Later;
    /// Share of a ticket's lifetime after which it is renewed.
    "sasl.kerberos.ticket.renew.window.factor": Double = "0.8", Any, PerBroker, Medium, Later;
    /// Class that answers the questions of a login.
    "sasl.login.callback.handler.class": Class null, Any, ReadOnly, Medium, Refused;
    /// Class that performs a login.
    "sasl.login.class": Class null, Any, ReadOnly, Medium, Refused;
    /// Longest wait for a connection to the identity provider.
    "sasl.login.connect.timeout.ms": Int null, Any, ReadOnly, Low, Later;
    /// Longest wait for an answer of the identity provider.
    "sasl.login.read.timeout.ms": Int null, Any, ReadOnly, Low, Later;
    /// Time before its end at which a token is renewed at the latest.
    "sasl.login.refresh.buffer.seconds": Short = "300", Any, PerBroker, Medium, Later;
    /// Least time between two renewals of a token.
    "sasl.login.refresh.min.period.seconds": Short = "60", Any, PerBroker, Medium, Later;
    /// Share of a token's lifetime after which it is renewed.
    "sasl.login.refresh.window.factor": Double = "0.8", Any, PerBroker, Medium, Later;
    /// Random share added to the time at which a token is renewed.
    "sasl.login.refresh.window.jitter": Double = "0.05", Any, PerBroker, Medium, Later;
    /// Longest pause before a failed login is repeated.
    "sasl.login.retry.backoff.max.ms": Long = "10000", Any, ReadOnly, Low, Later;
    /// First pause before a failed login is repeated.
    "sasl.login.retry.backoff.ms": Long = "100", Any, ReadOnly, Low, Later;
    /// SASL mechanism towards controllers.
    "sasl.mechanism.controller.protocol": String = "GSSAPI", Any, ReadOnly, High, Refused;
    /// SASL mechanism between brokers.
    "sasl.mechanism.inter.broker.protocol": String = "GSSAPI", Any, PerBroker, Medium, Refused;
    /// Algorithm that signs the assertion of the JWT-bearer grant.
    "sasl.oauthbearer.assertion.algorithm": String = "RS256", OneOfIgnoringCase(&["ES256", "RS256"]), ReadOnly, Medium, Refused;
    /// Claim `aud` of the assertion.
    "sasl.oauthbearer.assertion.claim.aud": String null, Any, ReadOnly, Medium, Refused;
    /// Lifetime of the assertion.
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int = "300", Between(0, 86400), ReadOnly, Low, Refused;
    /// Claim `iss` of the assertion.
    "sasl.oauthbearer.assertion.claim.iss": String null, Any, ReadOnly, Medium, Refused;
    /// Whether the assertion has a unique id.
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean = "false", Any, ReadOnly, Medium, Refused;
    /// How long before now the assertion begins to be valid.
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = "60", Between(0, 3600), ReadOnly, Low, Refused;
    /// Claim `sub` of the assertion.
    "sasl.oauthbearer.assertion.claim.sub": String null, Any, ReadOnly, Medium, Refused;
    /// File that holds a finished assertion.
    "sasl.oauthbearer.assertion.file": String null, Any, ReadOnly, Medium, Refused;
    /// File of the key that signs the assertion.
    "sasl.oauthbearer.assertion.private.key.file": String null, Any, ReadOnly, Medium, Refused;
    /// Passphrase of the key that signs the assertion.
    "sasl.oauthbearer.assertion.private.key.passphrase": Password null, Any, ReadOnly, Medium, Refused;
    /// File with a template of the assertion.
    "sasl.oauthbearer.assertion.template.file": String null, Any, ReadOnly, Medium, Refused;
    /// Client id of the client-credentials grant.
    "sasl.oauthbearer.client.credentials.client.id": String null, Any, ReadOnly, Medium, Refused;
    /// Client secret of the client-credentials grant.
    "sasl.oauthbearer.client.credentials.client.secret": Password null, Any, ReadOnly, Medium, Refused;
    /// Difference of clocks that is tolerated in a token's times.
    "sasl.oauthbearer.clock.skew.seconds": Int = "30", Any, ReadOnly, Low, Refused;
    /// Audiences a token must name one of.
    "sasl.oauthbearer.expected.audience": List = "", List(MayBeEmpty), ReadOnly, High, Refused;
    /// Issuer a token must come from.
    "sasl.oauthbearer.expected.issuer": String null, Any, ReadOnly, High, Refused;
    /// Time between two reads of the provider's keys.
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = "3600000", Any, ReadOnly, Low, Refused;
    /// Longest pause before a failed read of the keys is repeated.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = "10000", Any, ReadOnly, Low, Refused;
    /// First pause before a failed read of the keys is repeated.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = "100", Any, ReadOnly, Low, Refused;
    /// Where the provider's keys are read.
    "sasl.oauthbearer.jwks.endpoint.url": String null, Any, ReadOnly, Medium, Refused;
    /// Class that obtains tokens.
    "sasl.oauthbearer.jwt.retriever.class": Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Any, ReadOnly, Medium, Refused;
    /// Class that checks tokens.
    "sasl.oauthbearer.jwt.validator.class": Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Any, ReadOnly, Medium, Refused;
    /// Scope that is asked for.
    "sasl.oauthbearer.scope": String null, Any, ReadOnly, Medium, Refused;
    /// Name of the claim that holds the scope.
    "sasl.oauthbearer.scope.claim.name": String = "scope", Any, ReadOnly, Low, Refused;
    /// Name of the claim that holds the user.
    "sasl.oauthbearer.sub.claim.name": String = "sub", Any, ReadOnly, Low, Refused;
    /// Where tokens are obtained.
    "sasl.oauthbearer.token.endpoint.url": String null, Any, ReadOnly, Medium, Refused;
    /// Class that answers SASL questions when this node is the server.
    "sasl.server.callback.handler.class": Class null, Any, ReadOnly, Medium, Refused;
    /// Largest frame during a SASL exchange.
    "sasl.server.max.receive.size": Int = "524288", Any, ReadOnly, Medium, Refused;
    /// Java security providers; they cannot run in this process.
    "security.providers": String null, Any, ReadOnly, Low, Refused;
    /// Whether a new key store may have another distinguished name.
    "ssl.allow.dn.changes": Boolean = "false", Any, ReadOnly, Low, Refused;
    /// Whether a new key store may lack some alternative names.
    "ssl.allow.san.changes": Boolean = "false", Any, ReadOnly, Low, Refused;
    /// Cipher suites that are allowed.
    "ssl.cipher.suites": List = "", List(MayBeEmpty), PerBroker, Medium, Refused;
    /// Whether clients must, may or need not show a certificate.
    "ssl.client.auth": String = "none", OneOf(&["required", "requested", "none"]), PerBroker, Medium, Refused;
    /// TLS versions that are allowed.
    "ssl.enabled.protocols": List = "TLSv1.2,TLSv1.3", List(MayBeEmpty), PerBroker, Medium, Refused;
    /// How a server's name is checked; empty switches the check off.
    "ssl.endpoint.identification.algorithm": String = "https", Any, PerBroker, Low, Refused;
    /// Class that makes TLS engines.
    "ssl.engine.factory.class": Class null, Any, PerBroker, Low, Refused;
    /// Password of the private key.
    "ssl.key.password": Password null, Any, PerBroker, Medium, Refused;
    /// Java's algorithm of key managers.
    "ssl.keymanager.algorithm": String = "SunX509", Any, PerBroker, Medium, Refused;
    /// Certificates in PEM form.
    "ssl.keystore.certificate.chain": Password null, Any, PerBroker, Medium, Refused;
    /// Private key in PEM form.
    "ssl.keystore.key": Password null, Any, PerBroker, Medium, Refused;
    /// File of the key store.
    "ssl.keystore.location": String null, Any, PerBroker, Medium, Refused;
    /// Password of the key store.
    "ssl.keystore.password": Password null, Any, PerBroker, Medium, Refused;
    /// Form of the key store: JKS, PKCS12 or PEM.
    "ssl.keystore.type": String = "JKS", Any, PerBroker, Medium, Refused;
    /// Rules that turn distinguished names into user names.
    "ssl.principal.mapping.rules": String = "DEFAULT", Any, ReadOnly, Low, Refused;
    /// TLS version that is preferred.
    "ssl.protocol": String = "TLSv1.3", Any, PerBroker, Medium, Refused;
    /// Java's provider of TLS.
    "ssl.provider": String null, Any, PerBroker, Medium, Refused;
    /// Java's source of randomness for TLS.
    "ssl.secure.random.implementation": String null, Any, PerBroker, Low, Refused;
    /// Java's algorithm of trust managers.
    "ssl.trustmanager.algorithm": String = "PKIX", Any, PerBroker, Medium, Refused;
    /// Trusted certificates in PEM form.
    "ssl.truststore.certificates": Password null, Any, PerBroker, Medium, Refused;
    /// File of the trust store.
    "ssl.truststore.location": String null, Any, PerBroker, Medium, Refused;
    /// Password of the trust store.
    "ssl.truststore.password": Password null, Any, PerBroker, Medium, Refused;
    /// Form of the trust store: JKS, PKCS12 or PEM.
    "ssl.truststore.type": String = "JKS", Any, PerBroker, Medium, Refused;
}
