"""A mesh of network namespaces: nodes, pods, redirection and the node agent, for tests, the demo and benchmarks.

    with Lab(Cluster.load("tests/lab/clusters/demo.yaml")) as lab:
        lab.start_ztunnels()
        print(lab.exec("demo/client", ["curl", "http://server.demo/"]))

In Kubernetes istio-cni and the CNI plugin do this part. Needs root.
"""
