%% -*- erlang -*-
%%! -noinput +fnu
%% Erlang's ssh, server and client: "erlang_ssh.escript server ..." and
%% "erlang_ssh.escript client ...", with the arguments that contract.py tells.
-module(erlang_ssh).
-mode(compile).

%% The server's and the client's keys, ssh_server_key_api and ssh_client_key_api.
-export([host_key/2, is_auth_key/3, is_host_key/5, user_key/2, add_host_key/4]).
%% The server's sessions, ssh_server_channel.
-export([init/1, handle_msg/2, handle_ssh_msg/2, terminate/2]).
-export([main/1]).

main([_, "--version"]) ->
    {ok, _} = application:ensure_all_started(ssh),
    {ok, Version} = application:get_key(ssh, vsn),
    io:format("Erlang ssh ~s (OTP ~s)~n", [Version, erlang:system_info(otp_release)]);
main(["server", Directory, AuthorizedKeys, Port]) ->
    start(),
    Keys = lists:flatmap(fun private_keys/1, filelib:wildcard(filename:join(Directory, "host_*"))),
    Options = [
        {key_cb, {?MODULE, [{keys, Keys}, {authorized, public_keys(AuthorizedKeys)}]}},
        {ssh_cli, {?MODULE, []}},
        {auth_methods, "publickey"},
        {subsystems, []},
        {modify_algorithms, [{append, legacy()}]}
    ],
    {ok, Daemon} = ssh:daemon({127, 0, 0, 1}, list_to_integer(Port), Options),
    {ok, Info} = ssh:daemon_info(Daemon),
    io:format("listening ~b~n", [proplists:get_value(port, Info)]),
    receive never -> ok end;
main(["client", Port, HostKeys, UserKey, User, Command]) ->
    start(),
    Standard = open_port({fd, 0, 1}, [binary, eof]),
    Data = read_all(Standard, []),
    Options = [
        {user, User},
        {key_cb, {?MODULE, [{known, public_keys(HostKeys)}, {keys, private_keys(UserKey)}]}},
        {silently_accept_hosts, false},
        {user_interaction, false},
        {auth_methods, "publickey"},
        {modify_algorithms, [{append, legacy()}]}
    ],
    {ok, Connection} = or_fail(ssh:connect({127, 0, 0, 1}, list_to_integer(Port), Options)),
    {ok, Channel} = or_fail(ssh_connection:session_channel(Connection, infinity)),
    case ssh_connection:exec(Connection, Channel, Command, infinity) of
        success -> ok;
        Other -> or_fail({error, Other})
    end,
    %% What is sent waits for the window, and what comes back for nobody.
    spawn_link(fun() ->
        [ok = ssh_connection:send(Connection, Channel, Data) || Data =/= <<>>],
        ok = ssh_connection:send_eof(Connection, Channel)
    end),
    Status = converse(Connection, Channel, Standard, 255),
    ssh:close(Connection),
    halt(Status).

start() ->
    logger:set_primary_config(level, none),
    {ok, _} = application:ensure_all_started(ssh).

or_fail({error, Reason}) ->
    io:format(standard_error, "~p~n", [Reason]),
    halt(255);
or_fail(Result) ->
    Result.

%% What it has but does not offer.
legacy() ->
    Default = ssh:default_algorithms(),
    Has = fun(Family, Names) ->
        [Name || Name <- Names, not is_member(Name, proplists:get_value(Family, Default))]
    end,
    Kex = Has(kex, [
        'diffie-hellman-group14-sha1',
        'diffie-hellman-group1-sha1',
        'diffie-hellman-group-exchange-sha1'
    ]),
    PublicKey = Has(public_key, ['ssh-rsa', 'ssh-dss']),
    Mac = Has(mac, ['hmac-sha1-96']),
    [
        {kex, Kex},
        {public_key, PublicKey},
        {mac, [{client2server, Mac}, {server2client, Mac}]},
        {compression, [{client2server, [zlib]}, {server2client, [zlib]}]}
    ].

is_member(Name, [{client2server, Names} | _]) -> lists:member(Name, Names);
is_member(Name, Names) -> lists:member(Name, Names).

read_all(Port, Read) ->
    receive
        {Port, {data, Data}} -> read_all(Port, [Read, Data]);
        {Port, eof} -> iolist_to_binary(Read)
    end.

converse(Connection, Channel, Standard, Status) ->
    receive
        {ssh_cm, Connection, {data, Channel, 0, Data}} ->
            ssh_connection:adjust_window(Connection, Channel, byte_size(Data)),
            port_command(Standard, Data),
            converse(Connection, Channel, Standard, Status);
        {ssh_cm, Connection, {exit_status, Channel, New}} ->
            converse(Connection, Channel, Standard, New);
        {ssh_cm, Connection, {closed, Channel}} ->
            Status;
        {ssh_cm, Connection, _} ->
            converse(Connection, Channel, Standard, Status)
    end.

%% Keys.

private_keys(Path) ->
    {ok, Text} = file:read_file(Path),
    try ssh_file:decode(Text, openssh_key_v1) of
        Decoded when is_list(Decoded) -> [Key || {Key, _} <- Decoded, is_private(Key)];
        _ -> []
    catch
        %% A type of key that it does not have.
        _:_ -> []
    end.

is_private(Key) -> lists:member(element(1, Key), ['RSAPrivateKey', 'ECPrivateKey', 'DSAPrivateKey']).

public_keys(Path) ->
    {ok, Text} = file:read_file(Path),
    Lines = binary:split(Text, <<"\n">>, [global, trim_all]),
    [base64:decode(lists:nth(2, binary:split(Line, <<" ">>, [global]))) || Line <- Lines].

private(Options) -> proplists:get_value(key_cb_private, Options).

host_key(Algorithm, Options) -> find_key(Algorithm, Options).

user_key(Algorithm, Options) -> find_key(Algorithm, Options).

find_key(Algorithm, Options) ->
    Keys = proplists:get_value(keys, private(Options)),
    case [Key || Key <- Keys, lists:member(Algorithm, algorithms(Key))] of
        [Key | _] -> {ok, Key};
        [] -> {error, enoent}
    end.

algorithms(Key) ->
    case element(1, Key) of
        'RSAPrivateKey' -> ['rsa-sha2-256', 'rsa-sha2-512', 'ssh-rsa'];
        'DSAPrivateKey' -> ['ssh-dss'];
        'ECPrivateKey' -> [curve_algorithm(element(4, Key))]
    end.

curve_algorithm({namedCurve, {1, 2, 840, 10045, 3, 1, 7}}) -> 'ecdsa-sha2-nistp256';
curve_algorithm({namedCurve, {1, 3, 132, 0, 34}}) -> 'ecdsa-sha2-nistp384';
curve_algorithm({namedCurve, {1, 3, 132, 0, 35}}) -> 'ecdsa-sha2-nistp521';
curve_algorithm({namedCurve, {1, 3, 101, 112}}) -> 'ssh-ed25519';
curve_algorithm({namedCurve, {1, 3, 101, 113}}) -> 'ssh-ed448'.

is_auth_key(Key, _User, Options) ->
    lists:member(ssh_file:encode(Key, ssh2_pubkey), proplists:get_value(authorized, private(Options))).

is_host_key(Key, _Host, _Port, _Algorithm, Options) ->
    lists:member(ssh_file:encode(Key, ssh2_pubkey), proplists:get_value(known, private(Options))).

add_host_key(_Host, _Port, _Key, _Options) -> {error, "the server's host key is none that is known"}.

%% A session of the server: what it runs.

init(_) -> {ok, none}.

handle_msg(_, State) -> {ok, State}.

handle_ssh_msg({ssh_cm, Connection, {exec, Channel, WantReply, Command}}, _) ->
    case string:lexemes(unicode:characters_to_list(Command), " ") of
        ["cat"] ->
            ssh_connection:reply_request(Connection, WantReply, success, Channel),
            {ok, {cat, 0}};
        ["exit", Status] ->
            ssh_connection:reply_request(Connection, WantReply, success, Channel),
            {ok, {exit, list_to_integer(Status)}};
        _ ->
            ssh_connection:reply_request(Connection, WantReply, failure, Channel),
            {ok, none}
    end;
handle_ssh_msg({ssh_cm, Connection, {data, Channel, 0, Data}}, {cat, _} = State) ->
    ok = ssh_connection:send(Connection, Channel, Data),
    {ok, State};
handle_ssh_msg({ssh_cm, Connection, {eof, Channel}}, {_, Status} = State) ->
    ssh_connection:send_eof(Connection, Channel),
    ssh_connection:exit_status(Connection, Channel, Status),
    {stop, Channel, State};
handle_ssh_msg(_, State) ->
    {ok, State}.

terminate(_, _) -> ok.
