"""A rollout plan in the words of HAProxy, Argo Rollouts and Flagger.

A plan does not hold the judge. Argo and Flagger have judges of their own, and HAProxy has none, so each export says where the
judge belongs. What a tool cannot express is refused: a plan that silently became another one would be worse than none.
"""

import math
import re


class Exports:
    """What a `Plan` becomes elsewhere: plain data for Kubernetes (YAML reads JSON), and text for HAProxy."""

    def to_flagger(self, service="model"):
        """The plan as a `Canary` resource of Flagger, in plain data.

        The rules are the same: the first step is taken at once, failed checks add up, and `threshold` of them roll
        back. Give Flagger its judge in `spec.analysis.metrics`. `service` is the name of the Deployment, which
        serves port 80 there: lower-case letters, digits and hyphens.

        `ValueError` is raised for what Flagger does not have: a fraction of a percent or of a second, an interval
        below 10 seconds, a `watch` or an old version that is kept, a big bang, a shadow without a switch, or a
        blue-green rollout without copies.

        Source: Flagger, "Deployment Strategies" (docs.flagger.app/usage/deployment-strategies).

        >>> from mlprod_helpers.rollout import Canary
        >>> Canary(step_weights=[1, 10, 50], interval=300, threshold=2).to_flagger("eta")["spec"]["analysis"]
        {'interval': '5m', 'threshold': 2, 'stepWeights': [1, 10, 50]}
        """
        self._refuse(
            "Flagger", big_bang="take a Canary", shadow="take BlueGreen with copies, which ends with a switch"
        )
        if self.watch or self.keep_old:
            raise ValueError(
                f"Flagger scales the old version down and checks no more once everybody has the new one, but watch is "
                f"{self.watch:g} s and keep_old {self.keep_old:g} s: set both to 0."
            )
        if self.interval < 10:
            raise ValueError(
                f"Flagger checks every 10 seconds at most, not every {self.interval:g}: raise the interval."
            )
        analysis = {
            "interval": _duration(self.interval, "interval", "Flagger"),
            "threshold": int(self.threshold),
        }
        if self.strategy == "blue_green":
            if not self.copies or self.preview % self.interval or not self.preview:
                raise ValueError(
                    "Flagger checks the green fleet before the switch, on copies of requests, a whole number of times: give "
                    "copies, and a preview of one or more whole intervals."
                )
            share = _whole(self.copies, "copies", "Flagger", "percents")
            analysis |= {
                "iterations": int(self.preview / self.interval),
                "mirror": True,
                "mirrorWeight": share,
            }
        elif self.step_weights is not None:
            analysis["stepWeights"] = [
                _whole(weight, "step_weights", "Flagger", "percents") for weight in self.step_weights
            ]
        else:
            analysis["stepWeight"] = _whole(self.step_weight, "step_weight", "Flagger", "percents")
            analysis["maxWeight"] = _whole(self.max_weight, "max_weight", "Flagger", "percents")
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": _name(service)}
        return {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": service},
            "spec": {"targetRef": target, "service": {"port": 80}, "analysis": analysis},
        }

    def to_argo(self, service="model"):
        """The plan as a `Rollout` resource of Argo Rollouts, in plain data.

        A canary waits at each weight for `interval` and then runs one analysis, which decides. A blue-green rollout
        is analysed after the switch, while the old version is still there. Both name the AnalysisTemplate
        `<service>-judge`: that is where the judge belongs. For a blue-green rollout the template gets the arguments
        `interval`, `count` and `failure-limit` (failures that are allowed, so one less than `threshold`). `service`
        is the name of the Deployment and the start of the names of its Kubernetes services: lower-case letters,
        digits and hyphens. Split by requests instead of replicas needs the `trafficRouting` of your mesh.

        `ValueError` is raised for what Argo Rollouts does not have: a fraction of a percent or of a second, failed
        checks that add up over a canary's steps, checks after a canary's promotion or after the old version is
        gone, a big bang, or shadow copies.

        Source: Argo Rollouts, "Rollout Specification" and "Analysis & Progressive Delivery"
        (argo-rollouts.readthedocs.io/en/stable/features/specification).

        >>> from mlprod_helpers.rollout import Canary
        >>> strategy = Canary(step_weights=[10], interval=300, threshold=1).to_argo("eta")["spec"]["strategy"]
        >>> for step in strategy["canary"]["steps"]:
        ...     print(step)
        {'setWeight': 10}
        {'pause': {'duration': '5m'}}
        {'analysis': {'templates': [{'templateName': 'eta-judge'}]}}
        """
        by_hand = "write its setMirrorRoute steps by hand (they need Istio and your routes), or take a Canary"
        self._refuse("Argo Rollouts", big_bang="take BlueGreen", shadow=by_hand)
        judge = {"templates": [{"templateName": f"{_name(service)}-judge"}]}
        strategy = self._argo_canary(judge) if self.strategy == "canary" else self._argo_blue_green(judge)
        services = (
            {"canaryService": f"{service}-canary", "stableService": f"{service}-stable"}
            if self.strategy == "canary"
            else {"activeService": service, "previewService": f"{service}-preview"}
        )
        kind = "canary" if self.strategy == "canary" else "blueGreen"
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": service},
            "spec": {
                "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service},
                "strategy": {kind: services | strategy},
            },
        }

    def _argo_canary(self, judge):
        if self.threshold > 1:
            raise ValueError(
                f"Argo Rollouts does not add up the failed checks of several steps, but threshold is {self.threshold}: set it "
                "to 1, and allow failures within a step in the AnalysisTemplate (failureLimit)."
            )
        if self.watch:
            raise ValueError(
                f"Argo Rollouts does not check a canary after its promotion, but watch is {self.watch:g} s: set it to 0, and "
                "let the steps end at 100."
            )
        pause = {"pause": {"duration": _duration(self.interval, "interval", "Argo Rollouts")}}
        steps, weight = [], 0
        while (weight := self.next_weight(weight)) is not None:
            steps += [
                {"setWeight": _whole(weight, "a step", "Argo Rollouts", "percents")},
                pause,
                {"analysis": judge},
            ]
        return {"steps": steps} | self._argo_old()

    def _argo_blue_green(self, judge):
        if self.copies:
            raise ValueError(
                f"Argo Rollouts sends no copies to a preview, but copies is {self.copies:g}: set it to 0, and test the preview "
                "service yourself (prePromotionAnalysis)."
            )
        if self.watch > self.keep_old:
            raise ValueError(
                f"Argo Rollouts stops checking when the old version goes after {self.keep_old:g} s, but watch is "
                f"{self.watch:g} s: give keep_old at least as much."
            )
        plain = self._argo_old()
        if self.preview:
            plain["autoPromotionSeconds"] = _whole(self.preview, "preview", "Argo Rollouts", "seconds")
        if self.watch:
            arguments = {
                "interval": _duration(self.interval, "interval", "Argo Rollouts"),
                "count": str(math.ceil(self.watch / self.interval)),
                "failure-limit": str(int(self.threshold) - 1),
            }
            named = [{"name": name, "value": value} for name, value in arguments.items()]
            plain["postPromotionAnalysis"] = judge | {"args": named}
        return plain

    def _argo_old(self):
        if not self.keep_old:
            return {}
        return {"scaleDownDelaySeconds": _whole(self.keep_old, "keep_old", "Argo Rollouts", "seconds")}

    def to_haproxy(self):
        r"""The plan as a configuration of HAProxy, with the commands that take its later steps.

        HAProxy splits and does not judge: whoever runs the plan sends the next command when a check has passed, and
        weight 0 to roll back. The split is sticky by the header `X-User-Id`: a ramp only adds users, and requests
        without a user go to the stable version. HAProxy has a hash of its own, so it picks other users than `route`
        does. It listens on port 8080 of this machine, and on the control socket haproxy.sock; the versions listen on
        ports 8001 (stable) and 8002 (canary).

        `ValueError` is raised for what HAProxy does not have: copies of requests, weights finer than 0.01%, and a
        big bang, which has no two versions side by side.

        Source: HAProxy 2.6, "Configuration Manual" (xxh32, set-var) and "Management Guide" (set var);
        docs.haproxy.org.

        >>> from mlprod_helpers.rollout import Canary
        >>> print(*Canary(step_weights=[1, 10]).to_haproxy().splitlines()[:3], sep="\n")
        # The canary starts with 1% of the users. After each passed check, send the next weight to haproxy.sock:
        #   60 s: experimental-mode on; set var proc.canary int(1000)
        #   120 s: experimental-mode on; set var proc.canary int(10000)
        """
        self._refuse("HAProxy", big_bang="take BlueGreen", shadow="take a Canary")
        if self.mirror:
            raise ValueError(
                f"HAProxy copies no requests, but copies is {self.mirror:g}: set it to 0, or mirror in a service mesh."
            )
        (_, first), *later = self.schedule().items()
        places = [(seconds, _hundredths(weight)) for seconds, weight in later]
        lines = [
            f"# The canary starts with {first:g}% of the users. After each passed check, send the next weight to haproxy.sock:",
            *(
                f"#   {at:g} s: experimental-mode on; set var proc.canary int({place})"
                for at, place in places
            ),
            "global",
            "  stats socket unix@haproxy.sock mode 600 level admin",
            f"  set-var proc.canary int({_hundredths(first)})",
            "defaults",
            "  mode http",
            "  timeout connect 1s",
            "  timeout client 30s",
            "  timeout server 30s",
            "frontend router",
            "  bind 127.0.0.1:8080",
            "  # each user has a place from 0 to 9999; the canary has the places below its weight in hundredths of a percent",
            "  http-request set-var(txn.place) req.hdr(X-User-Id),xxh32,mod(10000) if { req.hdr(X-User-Id) -m found }",
            "  use_backend canary if { var(txn.place) -m found } { var(txn.place),sub(proc.canary) -m int lt 0 }",
            "  default_backend stable",
            "backend stable",
            "  server stable 127.0.0.1:8001 check",
            "backend canary",
            "  server canary 127.0.0.1:8002 check",
        ]
        return "\n".join(lines) + "\n"

    def _refuse(self, tool, **instead):
        """Refuse a strategy that the tool does not have."""
        if (what := instead.get(self.strategy)) is not None:
            raise ValueError(f"{tool} has no strategy {self.strategy.replace('_', ' ')!r}: {what}.")


def _name(service):
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,53}[a-z0-9])?", service):
        raise ValueError(
            f"{service!r} is no name for Kubernetes: give lower-case letters, digits and hyphens, at most 55, a letter first."
        )
    return service


def _whole(value, name, tool, unit):
    if value % 1:
        raise ValueError(f"{tool} counts in whole {unit}, but {name} is {value:g}: round it.")
    return int(value)


def _duration(seconds, name, tool):
    """Seconds as both tools write them.

    >>> _duration(300, "interval", "Flagger"), _duration(90.0, "interval", "Flagger")
    ('5m', '90s')
    """
    seconds = _whole(seconds, name, tool, "seconds")
    return f"{seconds}s" if seconds % 60 else f"{seconds // 60}m"


def _hundredths(weight):
    """A weight in hundredths of a percent."""
    hundredths = round(100 * weight, 6)
    if hundredths % 1:
        raise ValueError(f"This configuration splits to 0.01%, but a weight is {weight:g}%: round it.")
    return int(hundredths)
