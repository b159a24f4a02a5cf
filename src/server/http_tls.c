// TLS for what http.c accepts, by OpenSSL.
#include "server/http_impl.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static const char *reason(void) {
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "unknown error";
}

struct ssl_ctx_st *tls_open(const struct http_options *o, gyr_error *e) {
    ERR_clear_error();
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls) return fail_memory(e, "TLS"), NULL;
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    const char *wrong = NULL;
    if (SSL_CTX_use_certificate_chain_file(tls, o->cert) != 1)
        wrong = o->cert;
    else if (SSL_CTX_use_PrivateKey_file(tls, o->key, SSL_FILETYPE_PEM) != 1)
        wrong = o->key;
    if (wrong) fail(e, GYR_IO, "%s: %s; give a PEM file", wrong, reason());
    if (!wrong && SSL_CTX_check_private_key(tls) != 1) {
        wrong = o->key;
        fail(e, GYR_MALFORMED, "%s: is not the key of %s", o->key, o->cert);
    }
    if (!wrong) return tls;
    SSL_CTX_free(tls);
    return NULL;
}

struct bufferevent *tls_accept(struct event_base *base, struct ssl_ctx_st *tls) {
    SSL *ssl = SSL_new(tls);
    struct bufferevent *b =
        ssl ? bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (b) bufferevent_openssl_set_allow_dirty_shutdown(b, 1);
    if (!b && ssl) SSL_free(ssl);
    return b;
}

void tls_close(struct ssl_ctx_st *tls) { SSL_CTX_free(tls); }
