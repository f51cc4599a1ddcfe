// SPDX-License-Identifier: Apache-2.0
#include "samples.hpp"

#include <limits>
#include <memory>

namespace rankexec::wire::test {
namespace {

Bytes bytes(std::string_view text) {
    const auto view = std::as_bytes(std::span(text));
    return {view.begin(), view.end()};
}

PropertyMap properties() {
    return {{"lr", {0.5, Visibility::private_, Lifetime::once}}, {"round", {3, Visibility::public_, Lifetime::sticky}}};
}

ContextChanges changes() { return {{{"loss", {0.25, Visibility::public_, Lifetime::once}}}, {"old", "older"}}; }

Failure failure() {
    Failure failure;
    failure.code = ReturnCode::execution_exception;
    failure.message = "rank 2 died";
    failure.rank = 2;
    failure.host = "node-1";
    failure.pid = 4711;
    failure.exit = ExitStatus{.signalled = true, .number = 9};
    failure.stderr_tail = {"one", "two"};
    failure.ranks = {0, 2};
    failure.task = "train";
    failure.exception = "std::runtime_error";
    failure.out_of_memory = true;
    failure.others = {{0, "exit code 1"}};
    failure.stacks = {{1, {"main+0x10"}, ""}, {3, {}, "no answer"}};
    failure.log_directory = "/logs";
    return failure;
}

/// Every kind of value, and integers at the border of each of their encodings.
Value all_values() {
    Value tree;
    tree["array"] = Value::Array{Value::Array{}, 1, "a"};
    tree["bytes"] = bytes(std::string_view("\x00\xff", 2));
    tree["false"] = false;
    tree["integers"] = Value::Array{0,
                                    127,
                                    128,
                                    256,
                                    65536,
                                    std::int64_t{1} << 32,
                                    std::numeric_limits<std::int64_t>::max(),
                                    -1,
                                    -32,
                                    -33,
                                    -129,
                                    -32769,
                                    std::numeric_limits<std::int64_t>::min()};
    tree["map"] = Value::Map{};
    tree["null"] = nullptr;
    tree["real"] = -1.5;
    tree["text"] = "gr\xc3\xbc\xc3\x9f";
    return tree;
}

Shareable shareable() {
    static const std::vector<float> kWeights{1, -2, 0.5};
    static const std::vector<std::int64_t> kCount{1797};
    Shareable content;
    content.headers = {{"kind", "weights"}, {"round", 3}};
    content.body = all_values();
    content.tensors["count"] = Tensor::copy_of(std::span(kCount), {});
    content.tensors["empty"] = Tensor::copy_bytes(DType::uint8, {0, 4}, {});
    content.tensors["weights"] = Tensor::copy_of(std::span(kWeights), {1, 3});
    return content;
}

Supervise supervise() {
    Supervise supervise;
    supervise.run_id = "0123456789abcdef0123456789abcdef";
    supervise.program = {{"worker", "--flag"}, {"PATH=/bin"}, "/tmp"};
    supervise.ranks = {{0, {"RANK=0"}, bytes("secret")}, {1, {"RANK=1"}, {}}};
    supervise.graceful = {15, {}};
    supervise.forced = {9, {"scancel", "-s", "KILL", "{step}"}};
    supervise.death_signal = 15;
    supervise.orphan_grace_ms = 300;
    supervise.run_directory = "/run/group";
    supervise.log_directory = "/var/log/group";
    supervise.stdin_mode = StdinMode::all;
    supervise.forward_output = true;
    supervise.output_credit = 262144;
    supervise.containment = Containment::pid_namespace;
    return supervise;
}

std::vector<Golden> make_goldens() {
    return {
        {Hello{4711, "node-1", 1, 4, "0.1.0", {"shared-memory", "x"}},
         "96cd1267a66e6f64652d310104a5302e312e3092ad7368617265642d6d656d6f7279a178",
         {}},
        {Hello{}, "9600a00000a090", {}},
        {Initialise{properties(), {{"trainer", "digits", {{"epochs", 5}}}, {"plain", "t", {}}}, "trainer"},
         "9382a26c7293cb3fe00000000000000000a5726f756e64930301019293a7747261696e6572a664696769747381a66570"
         "6f6368730593a5706c61696ea17480a7747261696e6572",
         {}},
        {Initialised{}, "92c0928090", {}},
        {Initialised{failure(), changes()},
         "929e06ab72616e6b2032206469656402a66e6f64652d31cd126792c30992a36f6e65a374776f920002a5747261696eb2"
         "7374643a3a72756e74696d655f6572726f72c3919200ab6578697420636f6465203192930191a96d61696e2b30783130"
         "a0930390a96e6f20616e73776572a52f6c6f67739281a46c6f737393cb3fd0000000000000010092a36f6c64a56f6c64"
         "6572",
         {}},
        {Execute{1, "train", ResultsWanted::all, properties(), shareable()},
         "9501a5747261696e0182a26c7293cb3fe00000000000000000a5726f756e64930301019582a46b696e64a77765696768"
         "7473a5726f756e640388a56172726179939001a161a56279746573c40200ffa566616c7365c2a8696e7465676572739d"
         "007fcc80cd0100ce00010000cf0000000100000000cf7fffffffffffffffffe0d0dfd1ff7fd2ffff7fffd38000000000"
         "000000a36d617080a46e756c6cc0a47265616ccbbff8000000000000a474657874a66772c3bcc39f83a5636f756e7493"
         "079002a5656d707479930292000403a777656967687473930b9201030400c0",
         {"0507000000000000", "", "0000803f000000c00000003f"}},
        {Execute{}, "9500a000809580c08000c0", {}},
        {Result{1, 12, shareable(), changes(), 1000},
         "95010c9582a46b696e64a777656967687473a5726f756e640388a56172726179939001a161a56279746573c40200ffa5"
         "66616c7365c2a8696e7465676572739d007fcc80cd0100ce00010000cf0000000100000000cf7fffffffffffffffffe0"
         "d0dfd1ff7fd2ffff7fffd38000000000000000a36d617080a46e756c6cc0a47265616ccbbff8000000000000a4746578"
         "74a66772c3bcc39f83a5636f756e7493079002a5656d707479930292000403a777656967687473930b9201030400c092"
         "81a46c6f737393cb3fd0000000000000010092a36f6c64a56f6c646572cd03e8",
         {"0507000000000000", "", "0000803f000000c00000003f"}},
        {Result{2, 0, Shareable::failed(failure()), {}, 0},
         "9502009580c080069e06ab72616e6b2032206469656402a66e6f64652d31cd126792c30992a36f6e65a374776f920002"
         "a5747261696eb27374643a3a72756e74696d655f6572726f72c3919200ab6578697420636f6465203192930191a96d61"
         "696e2b30783130a0930390a96e6f20616e73776572a52f6c6f677392809000",
         {}},
        {Close{99, "run ended"}, "9263a972756e20656e646564", {}},
        {Attach{}, "90", {}},
        {ParentEvent{5, "start_run", true, properties(), false},
         "9505a973746172745f72756ec382a26c7293cb3fe00000000000000000a5726f756e6493030101c2",
         {}},
        {EventDone{5, changes()}, "92059281a46c6f737393cb3fd0000000000000010092a36f6c64a56f6c646572", {}},
        {AbortTask{7, "aborted by the user"}, "9207b361626f72746564206279207468652075736572", {}},
        {FireEvent{6, "metric", 1, 4, changes(), true},
         "9606a66d657472696301049281a46c6f737393cb3fd0000000000000010092a36f6c64a56f6c646572c3",
         {}},
        {EventHandled{6, changes(), ""}, "93069281a46c6f737393cb3fd0000000000000010092a36f6c64a56f6c646572a0", {}},
        {EventHandled{7, {}, "events nested more than 16 deep"},
         "9307928090bf6576656e7473206e6573746564206d6f7265207468616e2031362064656570",
         {}},
        {ShimHello{4712, "node-2", 1, 2, 4, "123.0"}, "96cd1268a66e6f64652d32010204a53132332e30", {}},
        {RankStarted{1, 4713, "node-1"}, "9301cd1269a66e6f64652d31", {}},
        {RankNotStarted{1, 2, "no such program"}, "930102af6e6f20737563682070726f6772616d", {}},
        {RankOutput{1, OutputStream::standard_error, bytes("oops\n")}, "930102c4056f6f70730a", {}},
        {RankExited{1, {false, 3}, true, {"last words"}, true, {"main+0x10"}},
         "960192c203c391aa6c61737420776f726473c391a96d61696e2b30783130",
         {}},
        {RankOutputEnd{1, "disk"}, "9201a46469736b", {}},
        {LauncherExited{{true, 15}, {"mpirun: killed"}}, "9292c30f91ae6d706972756e3a206b696c6c6564", {}},
        {SupervisionEnded{{4711, 4712}}, "9192cd1267cd1268", {}},
        {RankOutputCredit{1, 65536}, "9201ce00010000", {}},
        {RankInput{0, bytes("typed\n")}, "9200c40674797065640a", {}},
        {RankInput{}, "9200c400", {}},
        {SignalRanks{20}, "9114", {}},
        {EndGroup{2000}, "91cd07d0", {}},
        {supervise(),
         "9dd92030313233343536373839616263646566303132333435363738396162636465669392a6776f726b6572a62d2d66"
         "6c616791a9504154483d2f62696ea42f746d7092930091a652414e4b3d30c406736563726574930191a652414e4b3d31"
         "c400920f90920994a77363616e63656ca22d73a44b494c4ca67b737465707d0fcd012caa2f72756e2f67726f7570ae2f"
         "7661722f6c6f672f67726f757002c3ce0004000001",
         {}},
        {Supervise{}, "9da0939090a09092009092009000cd012ca0a001c3ce0004000000", {}},
        {LauncherStep{"123.0"}, "91a53132332e30", {}},
        {ShimSetup{{"A=b"}, "/var/log/group", StdinMode::none, true, 262144, 2000},
         "9691a3413d62ae2f7661722f6c6f672f67726f757001c3ce00040000cd07d0",
         {}},
        {RankSignalled{1, 19}, "920113", {}},
        {RankInputTaken{1, 65536}, "9201ce00010000", {}},
        {Dismiss{}, "90", {}},
        {ReportStack{7}, "9107", {}},
        {StackReport{7, {"main+0x10"}, ""}, "930791a96d61696e2b30783130a0", {}},
        {StackReport{7, {}, "no answer"}, "930790a96e6f20616e73776572", {}},
        {ReportTail{3, 5}, "920305", {}},
        {TailReport{3, 5, {"last words"}}, "93030591aa6c61737420776f726473", {}},
        {MessagePart{4, 2, 5, 1, Tensor::copy_bytes(DType::uint8, {4}, bytes("part"))},
         "9504020501930291"
         "0402",
         {"70617274"}},
        {PartsTaken{1048576}, "91ce00100000", {}},
        {Received{200}, "91ccc8", {}},
        {Resume{65536, 2, 200}, "93ce0001000002ccc8", {}},
    };
}

}  // namespace

const std::vector<Golden>& goldens() {
    static const auto kGoldens = make_goldens();
    return kGoldens;
}

Envelope golden_envelope() {
    return {.version = 0,
            .type = 0,
            .run_id = "0123456789abcdef0123456789abcdef",
            .incarnation = 2,
            .rank = 3,
            .sequence = 1000};
}

std::vector<std::byte> golden_envelope_bytes(std::size_t type) {
    // version 0, type, the run id as a text of 32 bytes, incarnation 2, rank 3, sequence 1000
    auto out = from_hex("9600");
    out.push_back(static_cast<std::byte>(type));
    for (const auto byte : from_hex("d92030313233343536373839616263646566303132333435363738396162636465660203cd03e8")) {
        out.push_back(byte);
    }
    return out;
}

std::vector<std::byte> from_hex(std::string_view hex) {
    const auto digit = [](char character) { return character <= '9' ? character - '0' : character - 'a' + 10; };
    std::vector<std::byte> out;
    for (std::size_t index = 0; index + 1 < hex.size(); index += 2) {
        out.push_back(static_cast<std::byte>(digit(hex[index]) * 16 + digit(hex[index + 1])));
    }
    return out;
}

std::string to_hex(std::span<const std::byte> bytes) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (const auto byte : bytes) {
        out += kDigits[std::to_integer<unsigned>(byte) >> 4U];
        out += kDigits[std::to_integer<unsigned>(byte) & 15U];
    }
    return out;
}

Frame frame_of(std::vector<std::byte> bytes) {
    const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    return {*owner, owner};
}

std::vector<Frame> frames_of(const Golden& golden) {
    std::vector<Frame> frames{frame_of(golden_envelope_bytes(golden.message.index() + 1)),
                              frame_of(from_hex(golden.body))};
    for (const auto tensor : golden.tensors) frames.push_back(frame_of(from_hex(tensor)));
    return frames;
}

std::vector<Frame> with_body(const Message& type_of, std::vector<std::byte> body) {
    return {frame_of(golden_envelope_bytes(type_of.index() + 1)), frame_of(std::move(body))};
}

}  // namespace rankexec::wire::test
