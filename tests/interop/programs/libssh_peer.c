/*
 * libssh: a server and a client, with all that it can do switched on. They are
 * called as contract.py says, with "server" or "client" before the arguments.
 * With DEFAULTS_ONLY in the environment, the client offers what it has by
 * default.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libssh/libssh.h>
#include <libssh/server.h>

/* libssh leaves out what it does not have. */
static const char KEY_EXCHANGES[] =
    "mlkem768x25519-sha256,mlkem768nistp256-sha256,mlkem1024nistp384-sha384,"
    "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,"
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
    "ecdh-sha2-nistp521,diffie-hellman-group18-sha512,diffie-hellman-group16-sha512,"
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256,"
    "diffie-hellman-group-exchange-sha1,diffie-hellman-group14-sha1,diffie-hellman-group1-sha1";
static const char SIGNATURES[] =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    "rsa-sha2-512,rsa-sha2-256,ssh-rsa,ssh-dss";
static const char CIPHERS[] =
    "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,"
    "aes192-ctr,aes128-ctr,aes256-cbc,aes192-cbc,aes128-cbc,3des-cbc";
static const char MACS[] =
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,"
    "hmac-sha2-256,hmac-sha2-512,hmac-sha1";

static void die(const char *what, void *error_source)
{
    fprintf(stderr, "%s: %s\n", what, error_source ? ssh_get_error(error_source) : "failed");
    exit(255);
}

static void exchange_keys_often(ssh_session session)
{
    const char *bytes = getenv("REKEY_BYTES");
    if (bytes != NULL) {
        uint64_t limit = strtoull(bytes, NULL, 10);
        ssh_options_set(session, SSH_OPTIONS_REKEY_DATA, &limit);
    }
}

/* Whether a file of public keys, one a line, has a key. */
static bool listed(const char *path, ssh_key key)
{
    char line[16384], type[64], blob[16000];
    bool found = false;
    FILE *stream = fopen(path, "r");
    if (stream == NULL)
        die(path, NULL);
    while (!found && fgets(line, sizeof line, stream) != NULL) {
        ssh_key candidate = NULL;
        if (sscanf(line, "%63s %15999s", type, blob) != 2)
            continue;
        if (ssh_pki_import_pubkey_base64(blob, ssh_key_type_from_name(type), &candidate) != SSH_OK)
            continue; /* Of a type that it does not have. */
        found = ssh_key_cmp(candidate, key, SSH_KEY_CMP_PUBLIC) == 0;
        ssh_key_free(candidate);
    }
    fclose(stream);
    return found;
}

/* The server. */

static bool log_in(ssh_session session, const char *authorized_keys)
{
    ssh_message message;
    while ((message = ssh_message_get(session)) != NULL) {
        bool done = false;
        if (ssh_message_type(message) == SSH_REQUEST_SERVICE) {
            ssh_message_service_reply_success(message);
        } else if (ssh_message_subtype(message) == SSH_AUTH_METHOD_PUBLICKEY
                   && listed(authorized_keys, ssh_message_auth_pubkey(message))) {
            if (ssh_message_auth_publickey_state(message) == SSH_PUBLICKEY_STATE_NONE) {
                ssh_message_auth_reply_pk_ok_simple(message);
            } else if (ssh_message_auth_publickey_state(message) == SSH_PUBLICKEY_STATE_VALID) {
                ssh_message_auth_reply_success(message, 0);
                done = true;
            } else {
                ssh_message_reply_default(message);
            }
        } else {
            ssh_message_auth_set_methods(message, SSH_AUTH_METHOD_PUBLICKEY);
            ssh_message_reply_default(message);
        }
        ssh_message_free(message);
        if (done)
            return true;
    }
    return false;
}

/* Answer messages until a command is to be run; -1 if none ever is. */
static int wanted_status(ssh_session session, ssh_channel *channel)
{
    ssh_message message;
    while ((message = ssh_message_get(session)) != NULL) {
        int status = -1;
        if (ssh_message_type(message) == SSH_REQUEST_CHANNEL_OPEN
            && ssh_message_subtype(message) == SSH_CHANNEL_SESSION) {
            *channel = ssh_message_channel_request_open_reply_accept(message);
        } else if (ssh_message_type(message) == SSH_REQUEST_CHANNEL
                   && ssh_message_subtype(message) == SSH_CHANNEL_REQUEST_EXEC) {
            const char *command = ssh_message_channel_request_command(message);
            if (strcmp(command, "cat") == 0)
                status = 0;
            else
                sscanf(command, "exit %d", &status);
            if (status < 0)
                ssh_message_reply_default(message);
            else
                ssh_message_channel_request_reply_success(message);
        } else {
            ssh_message_reply_default(message);
        }
        ssh_message_free(message);
        if (status >= 0)
            return status;
    }
    return -1;
}

static void serve(ssh_session session, const char *authorized_keys)
{
    static char data[32768];
    ssh_channel channel = NULL;
    int status, size;

    exchange_keys_often(session);
    ssh_set_auth_methods(session, SSH_AUTH_METHOD_PUBLICKEY);
    if (ssh_handle_key_exchange(session) != SSH_OK)
        die("key exchange", session);
    if (!log_in(session, authorized_keys))
        return;
    if ((status = wanted_status(session, &channel)) < 0)
        return;
    while ((size = ssh_channel_read(channel, data, sizeof data, 0)) > 0)
        if (status == 0 && ssh_channel_write(channel, data, size) != size)
            die("write", session);
    ssh_channel_send_eof(channel);
    ssh_channel_request_send_exit_status(channel, status);
    ssh_channel_close(channel);
    /* Until the client has gone. */
    while (ssh_message_get(session) != NULL)
        ;
    ssh_disconnect(session);
}

static int server(char **arguments)
{
    char path[PATH_MAX];
    bool no = false;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    ssh_bind bind = ssh_bind_new();
    struct dirent *entry;
    DIR *directory = opendir(arguments[0]);

    if (directory == NULL)
        die(arguments[0], NULL);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_BINDADDR, "127.0.0.1");
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_BINDPORT_STR, arguments[2]);
    while ((entry = readdir(directory)) != NULL) {
        ssh_key key = NULL;
        if (strncmp(entry->d_name, "host_", 5) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", arguments[0], entry->d_name);
        /* It has one key of each type: of several ECDSA keys, one. */
        if (ssh_pki_import_privkey_file(path, NULL, NULL, NULL, &key) == SSH_OK)
            ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, key);
    }
    closedir(directory);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_KEY_EXCHANGE, KEY_EXCHANGES);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, SIGNATURES);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, SIGNATURES);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HMAC_C_S, MACS);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HMAC_S_C, MACS);
    if (ssh_bind_listen(bind) != SSH_OK)
        die("listen", bind);
    getsockname(ssh_bind_get_fd(bind), (struct sockaddr *)&address, &size);
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        ssh_session session = ssh_new();
        if (ssh_bind_accept(bind, session) != SSH_OK)
            die("accept", bind);
        if (fork() == 0) {
            ssh_bind_free(bind);
            serve(session, arguments[1]);
            _exit(0);
        }
        ssh_silent_disconnect(session);
        ssh_free(session);
    }
}

/* The client. */

static void copy(ssh_channel channel, ssh_session session)
{
    static char data[32768];
    ssize_t size;
    bool more = true;

    while (!ssh_channel_is_eof(channel)) {
        /* What there is of input, and then what there is of output. */
        if (more && (size = read(0, data, sizeof data)) > 0) {
            if (ssh_channel_write(channel, data, size) != size)
                die("write", session);
        } else if (more) {
            more = false;
            ssh_channel_send_eof(channel);
        }
        while ((size = more ? ssh_channel_read_nonblocking(channel, data, sizeof data, 0)
                            : ssh_channel_read(channel, data, sizeof data, 0)) > 0)
            fwrite(data, 1, size, stdout);
        if (size == SSH_ERROR)
            die("read", session);
    }
    fflush(stdout);
}

static int client(char **arguments)
{
    bool no = false;
    int status;
    ssh_key key = NULL, host_key = NULL;
    ssh_session session = ssh_new();
    ssh_channel channel;

    ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(session, SSH_OPTIONS_HOST, "127.0.0.1");
    ssh_options_set(session, SSH_OPTIONS_PORT_STR, arguments[0]);
    ssh_options_set(session, SSH_OPTIONS_USER, arguments[3]);
    ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
    ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    if (getenv("DEFAULTS_ONLY") == NULL) {
        ssh_options_set(session, SSH_OPTIONS_KEY_EXCHANGE, KEY_EXCHANGES);
        ssh_options_set(session, SSH_OPTIONS_HOSTKEYS, SIGNATURES);
        ssh_options_set(session, SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, SIGNATURES);
        ssh_options_set(session, SSH_OPTIONS_CIPHERS_C_S, CIPHERS);
        ssh_options_set(session, SSH_OPTIONS_CIPHERS_S_C, CIPHERS);
        ssh_options_set(session, SSH_OPTIONS_HMAC_C_S, MACS);
        ssh_options_set(session, SSH_OPTIONS_HMAC_S_C, MACS);
        ssh_options_set(session, SSH_OPTIONS_COMPRESSION, "none,zlib@openssh.com,zlib");
    }
    exchange_keys_often(session);
    if (ssh_connect(session) != SSH_OK)
        die("connect", session);
    if (ssh_get_server_publickey(session, &host_key) != SSH_OK || !listed(arguments[1], host_key))
        die("the host key is not known", NULL);
    if (ssh_pki_import_privkey_file(arguments[2], NULL, NULL, NULL, &key) != SSH_OK)
        die(arguments[2], NULL);
    if (ssh_userauth_publickey(session, NULL, key) != SSH_AUTH_SUCCESS)
        die("login", session);
    channel = ssh_channel_new(session);
    if (ssh_channel_open_session(channel) != SSH_OK)
        die("open", session);
    if (ssh_channel_request_exec(channel, arguments[4]) != SSH_OK)
        die("exec", session);
    copy(channel, session);
    status = ssh_channel_get_exit_status(channel);
    ssh_channel_close(channel);
    ssh_channel_free(channel);
    ssh_disconnect(session);
    return status < 0 ? 255 : status;
}

int main(int count, char **arguments)
{
    ssh_init();
    if (count == 3 && strcmp(arguments[2], "--version") == 0) {
        /* "0.10.6/openssl/zlib": what follows the number is how it was made. */
        printf("libssh %.*s\n", (int)strcspn(ssh_version(0), "/"), ssh_version(0));
        return 0;
    }
    if (count == 5 && strcmp(arguments[1], "server") == 0)
        return server(arguments + 2);
    if (count == 7 && strcmp(arguments[1], "client") == 0)
        return client(arguments + 2);
    fprintf(stderr, "server DIRECTORY AUTHORIZED_KEYS PORT, or "
                    "client PORT HOST_KEYS USER_KEY USER COMMAND\n");
    return 255;
}
