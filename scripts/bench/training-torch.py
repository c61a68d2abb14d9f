"""The same training step in PyTorch: a network read from a description of its nodes, one step a line of input."""
import json
import sys
import time

import torch
import torch.nn.functional as F

EPSILON = 1e-6


def load(folder):
    with open(f"{folder}/network.json") as file:
        net = json.load(file)
    data = torch.frombuffer(bytearray(open(f"{folder}/numbers.bin", "rb").read()), dtype=torch.float32)
    tensors = {
        name: data[t["at"] : t["at"] + t["size"]].reshape(t["dims"]).clone() for name, t in net["tensors"].items()
    }
    return net, tensors


def fake(w, scale, quantizer):
    """Learned step sizes, gradients scaled as in LSQ."""
    factor = 1 / (w[0].numel() * max(1, quantizer["high"])) ** 0.5
    zero = torch.zeros_like(scale)
    return torch._fake_quantize_learnable_per_channel_affine(
        w, scale, zero, 0, quantizer["low"], quantizer["high"], factor
    )


def run_node(node, values):
    op, attributes = node["op"], node["attributes"]
    x = [values[name] if name else None for name in node["inputs"]]
    if op == "Conv":
        pads = attributes["pads"]
        return F.conv2d(x[0], x[1], x[2], attributes["strides"], pads[: len(pads) // 2], attributes["dilations"], attributes["group"])
    if op == "Silu":
        return F.silu(x[0])
    if op == "Sigmoid":
        return torch.sigmoid(x[0])
    if op == "Add":
        return x[0] + x[1]
    if op == "Mul":
        return x[0] * x[1]
    if op == "Concat":
        return torch.cat(x, attributes["axis"])
    if op == "MaxPool":
        pads = attributes["pads"]
        return F.max_pool2d(x[0], attributes["kernel_shape"], attributes["strides"], pads[: len(pads) // 2])
    if op == "Resize":
        return F.interpolate(x[0], scale_factor=attributes["scale"], mode="nearest")
    if op == "Reshape":
        return x[0].reshape(attributes["shape"])
    if op == "Transpose":
        return x[0].permute(attributes["perm"])
    if op == "Slice":
        cuts = [slice(None)] * x[0].dim()
        for axis, start, step in zip(attributes["axes"], attributes["starts"], attributes["steps"]):
            cuts[axis] = slice(start, None, step)
        return x[0][tuple(cuts)]
    raise SystemExit(f"no {op} here")


def forward(net, values, weights, scales):
    for name, quantizer in net["quantizers"].items():
        values[name] = fake(weights[name], scales[name], quantizer)
    last = {name: i for i, node in enumerate(net["nodes"]) for name in node["inputs"]}
    for i, node in enumerate(net["nodes"]):
        values[node["output"]] = run_node(node, values)
        # What nothing takes any more is let go, as a module's local variables would be.
        for name in node["inputs"]:
            if last.get(name) == i and name not in weights and name != net["output"]:
                values.pop(name, None)
    return values[net["output"]]


def cross_entropy(probability, target):
    inside = probability * (1 - 2 * EPSILON) + EPSILON
    return -(target * inside.log() + (1 - target) * (1 - inside).log())


def loss_of(output, batch, places):
    boxes, classes, positive = batch["boxes"], batch["classes"], batch["positive"]
    xy, wh, objectness, scores = output.split([2, 2, 1, output.shape[2] - 5], 2)
    stride = places[:, :, 2:]
    centre, extent = (xy + places[:, :, :2]) * stride, wh.exp() * stride
    true_centre, true_extent = boxes.split([2, 2], 2)
    high = torch.minimum(centre + extent * 0.5, true_centre + true_extent * 0.5)
    low = torch.maximum(centre - extent * 0.5, true_centre - true_extent * 0.5)
    shared = (high - low).relu().prod(2, keepdim=True)
    union = extent.prod(2, keepdim=True) + true_extent.prod(2, keepdim=True) - shared
    iou = shared / (union + EPSILON)
    count = positive.sum() + 1
    box = ((1 - iou) * positive).sum() / count
    object_ = cross_entropy(objectness, positive).sum() / count
    kind = (cross_entropy(scores, classes) * positive).sum() / count
    return 5 * box + object_ + kind


def peak_kilobytes():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def main(folder, threads):
    torch.set_num_threads(threads)
    net, tensors = load(folder)
    batch = {name: tensors[name] for name in ("images", "boxes", "classes", "positive")}
    places = tensors["places"].reshape(1, -1, 3)
    weights = {name: tensors[name].requires_grad_() for name in net["parameters"]}
    scales = {name: tensors[q["scale"]].requires_grad_() for name, q in net["quantizers"].items()}
    trained = list(weights.values()) + list(scales.values())
    optimizer = torch.optim.SGD(trained, lr=net["rate"], momentum=0.9, foreach=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        values = {"images": batch["images"], **weights}
        loss = loss_of(forward(net, values, weights, scales), batch, places)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, net["norm"])
        optimizer.step()
        return loss.item()

    print(json.dumps({"ready": torch.__version__}), flush=True)
    for line in sys.stdin:
        if line.strip() != "step":
            break
        start = time.perf_counter()
        loss = step()
        print(json.dumps({"ms": 1000 * (time.perf_counter() - start), "loss": loss}), flush=True)
    print(json.dumps({"peakKb": peak_kilobytes()}), flush=True)


main(sys.argv[1], int(sys.argv[2]))
